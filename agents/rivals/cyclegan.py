"""CycleGAN (Zhu, Park, Isola and Efros, ICCV 2017) as a rival: photos to retouch become experts' photos, and back.

Two generators and two discriminators learn from two sets of photos that have nothing to do with one another. As in the
paper: residual blocks, discriminators of patches, least-squares losses, cycle and identity losses, a pool of earlier
results for the discriminators, Adam with beta 0.5, a learning rate that falls to 0 in the second half. Other than in
the paper: sized for 64 px and one processor, layers are fewer and narrower, and a step takes several photos; generators
learn a correction to the photo, so that little training does little harm; by default no network has instance
normalisation, which would hide how bright a photo is; and the identity loss, which the paper adds for photos made from
paintings, is off.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agents.rivals.crops import Crops, Look, Retouch, batches_of_both, check_amount
from agents.rivals.games import BETAS, adam, check_rates, check_weights, least_squares, mistaken, play, step, told_apart
from agents.rivals.translation import Generator, Norm, PatchDiscriminator, Translation


class ImagePool:
    """Earlier results of a generator, so that a discriminator doesn't forget them.

    Args:
        size: Images kept; with 0 every image is handed on at once.
        seed: Seed of what is exchanged.

    Raises:
        ValueError: If the size is negative.
    """

    def __init__(self, size: int = 50, seed: int = 0):
        if size < 0:
            raise ValueError(f"pool_size must not be negative: {size}")
        self.size, self.rng, self.images = size, np.random.default_rng(seed), []

    def exchanged(self, images: Tensor) -> Tensor:
        """As many images (N, C, H, W): until the pool is full the given ones, then about half of them earlier ones."""
        return torch.stack([self._exchanged(image) for image in images.detach()])

    def _exchanged(self, image: Tensor) -> Tensor:
        if len(self.images) < self.size:
            self.images.append(image)
            return image
        if not self.size or self.rng.random() < 0.5:
            return image
        index = int(self.rng.integers(self.size))
        earlier, self.images[index] = self.images[index], image
        return earlier


class CycleGAN:
    """The four networks and their training.

    Args:
        width: See `fit_cyclegan`, here and below.
        num_blocks: See there.
        discriminator_width: See there.
        patch_halvings: See there.
        norm: See there.
        discriminator_norm: See there.
        learning_rate: See there.
        discriminator_learning_rate: See there.
        cycle_weight: See there.
        identity_weight: See there.
        pool_size: See there.
        seed: Seed of the pools; weights come from Torch's generator.
        device: Device of the networks.
    """

    def __init__(self, *, width: int, num_blocks: int, discriminator_width: int, patch_halvings: int, norm: Norm,
                 discriminator_norm: Norm, learning_rate: float, discriminator_learning_rate: float,
                 cycle_weight: float, identity_weight: float, pool_size: int, seed: int = 0, device: str = "cpu"):
        self.cycle_weight, self.identity_weight = cycle_weight, identity_weight
        self.forth, self.back = (Generator(width, num_blocks, norm=norm).to(device) for _ in range(2))
        self.of_experts, self.of_inputs = (
            PatchDiscriminator(discriminator_width, patch_halvings, discriminator_norm).to(device) for _ in range(2))
        self.pools = [ImagePool(pool_size, [seed, which]) for which in range(2)]
        self.optimizers = [adam((self.forth, self.back), learning_rate, BETAS),
                           adam((self.of_experts, self.of_inputs), discriminator_learning_rate, BETAS)]

    def update(self, inputs: Tensor, experts: Tensor) -> dict[str, float]:
        """Takes one step of the generators, then one of the discriminators.

        Args:
            inputs: (N, 3, H, W) photos to retouch, in [0, 1].
            experts: (M, 3, H, W) experts' photos, in [0, 1].

        Returns:
            The losses "adversary", "cycle" and "identity" of the generators, unweighted, and "discriminator".
        """
        parts, retouched, raw = self.generators(inputs, experts)
        step(self.optimizers[0], parts["adversary"] + self.cycle_weight * parts["cycle"]
             + self.identity_weight * parts["identity"])
        parts["discriminator"] = self.discriminators(inputs, experts, retouched, raw)
        step(self.optimizers[1], parts["discriminator"])
        return {name: part.item() for name, part in parts.items()}

    def generators(self, inputs: Tensor, experts: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """The losses of the generators, see `update`; the inputs retouched, and the experts' photos made raw."""
        retouched, raw, distance = self.forth(inputs), self.back(experts), functional.l1_loss
        identity = torch.zeros(())  # passes cost time, so none are made for nothing
        if self.identity_weight:
            identity = distance(self.forth(experts), experts) + distance(self.back(inputs), inputs)
        return {
            "adversary": mistaken(self.of_experts, retouched, least_squares)
            + mistaken(self.of_inputs, raw, least_squares),
            "cycle": distance(self.back(retouched), inputs) + distance(self.forth(raw), experts),
            "identity": identity,
        }, retouched, raw

    def discriminators(self, inputs: Tensor, experts: Tensor, retouched: Tensor, raw: Tensor) -> Tensor:
        """The loss of the discriminators, on results exchanged for those in the pools."""
        sides = ((self.of_experts, experts, retouched), (self.of_inputs, inputs, raw))
        return sum(told_apart(net, real, pool.exchanged(fake), least_squares)
                   for pool, (net, real, fake) in zip(self.pools, sides, strict=True))


def fit_cyclegan(inputs: Crops, experts: Crops, *, num_photos: int, seed: int = 0, device: str = "cpu",
                 look: Look | None = None, batch_size: int = 4, learning_rate: float = 5e-4,
                 discriminator_learning_rate: float = 5e-4, cycle_weight: float = 3.0, identity_weight: float = 0.0,
                 width: int = 8, num_blocks: int = 3, discriminator_width: int = 16,
                 patch_halvings: int = 3, norm: Norm = "none", discriminator_norm: Norm = "none",
                 pool_size: int = 50) -> Retouch:
    """CycleGAN's generator of retouched photos, which has learned from photos to retouch and experts' photos, unpaired.

    Args:
        inputs: Source of photos to retouch.
        experts: Source of good photos, as many in each step.
        num_photos: Photos to retouch to learn from, rounded up to whole batches.
        seed: Seed of weights and pools; photos are the sources'.
        device: Device of the training.
        look: See `crops.Look`.
        batch_size: Photos of each source in a step.
        learning_rate: Adam's, for the generators; in the second half it falls linearly to 0.
        discriminator_learning_rate: Likewise, for the discriminators.
        cycle_weight: Weight of the mean absolute difference of what went there and back.
        identity_weight: Weight of that of what was good already.
        width: See `translation.Generator`.
        num_blocks: Likewise.
        discriminator_width: See `translation.PatchDiscriminator`.
        patch_halvings: Its `halvings`.
        norm: See `translation.Generator`.
        discriminator_norm: See `translation.PatchDiscriminator`.
        pool_size: Earlier results kept for each discriminator.

    Raises:
        ValueError: If a number is too small, a norm unknown, or the crops are too small for so many halvings.
    """
    check_amount(num_photos, batch_size)
    if min(inputs.size, experts.size) < (least := 4 * 2**patch_halvings):
        raise ValueError(f"with patch_halvings={patch_halvings} crops must be of at least {least} px, not "
                         f"{min(inputs.size, experts.size)}")
    check_rates(learning_rate=learning_rate, discriminator_learning_rate=discriminator_learning_rate)
    check_weights(cycle_weight=cycle_weight, identity_weight=identity_weight)
    torch.manual_seed(seed)
    game = CycleGAN(width=width, num_blocks=num_blocks, discriminator_width=discriminator_width,
                    patch_halvings=patch_halvings, norm=norm, discriminator_norm=discriminator_norm,
                    learning_rate=learning_rate, discriminator_learning_rate=discriminator_learning_rate,
                    cycle_weight=cycle_weight, identity_weight=identity_weight, pool_size=pool_size,
                    seed=seed, device=device)
    return play(game, batches_of_both(inputs, experts, device), Translation(game.forth, inputs.size),
                num_photos=num_photos, batch_size=batch_size, look=look)
