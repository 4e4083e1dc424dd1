"""DPED (Ignatov, Kobyshev, Timofte, Vanhoey and Van Gool, ICCV 2017) as a rival: supervised, from pairs.

DeepExposure's Table 1 names it as a paired method, and so it is trained here. As in the paper: a generator of residual
blocks; a colour loss, the squared difference of blurred images; a texture loss, from a discriminator of grey images; a
content loss on features of a network that was trained before; total variation. Other than in the paper: the content
network is a small one, trained here (see `features`); losses are means over pixels, and their weights were chosen by
hand for that; the generator is narrower, works at half the resolution, learns a correction to the photo and has no
batch normalisation. For a version that learns from unpaired photos see `wespe`.
"""

import torch
from torch import Tensor
from torch.nn import functional

from agents.networks import Stack
from agents.rivals.crops import Look, Pairs, Retouch, check_amount
from agents.rivals.features import TurnNet, fit_features
from agents.rivals.games import check_rates, check_weights, cross_entropy, mistaken, play, step, told_apart
from agents.rivals.losses import blurred, grey, total_variation
from agents.rivals.translation import Generator, Translation

FEATURE_SHARE = 0.5  # images that the content network learns from, for each that the generator learns from


class DPED:
    """Generator, discriminator of textures, and their training.

    Args:
        content: The network whose features the content loss compares.
        size: Side of the images [px].
        width: See `fit_dped`, here and below.
        num_blocks: See there.
        halvings: See there.
        discriminator_width: See there.
        learning_rate: See there.
        colour_weight: See there.
        texture_weight: See there.
        content_weight: See there.
        smoothness_weight: See there.
        device: Device of the networks.
    """

    def __init__(self, content: TurnNet, size: int, *, width: int, num_blocks: int, halvings: int,
                 discriminator_width: int, learning_rate: float, colour_weight: float, texture_weight: float,
                 content_weight: float, smoothness_weight: float, device: str = "cpu"):
        self.content = content
        self.weights = {"colour": colour_weight, "texture": texture_weight, "content": content_weight,
                        "smoothness": smoothness_weight}
        self.generator = Generator(width, num_blocks, halvings, kernel=5).to(device)
        self.discriminator = Stack(1, size, 1, discriminator_width).to(device)
        self.optimizers = [torch.optim.Adam(net.parameters(), learning_rate)
                           for net in (self.generator, self.discriminator)]

    def update(self, photos: Tensor, targets: Tensor) -> dict[str, float]:
        """Takes one step of the generator, then one of the discriminator.

        Args:
            photos: (N, 3, S, S) photos to retouch, in [0, 1].
            targets: Their good versions, alike.

        Returns:
            The generator's losses "colour", "texture", "content" and "smoothness", unweighted, and "discriminator".
        """
        results = self.generator(photos)
        parts = self.losses(results, targets)
        step(self.optimizers[0], sum(self.weights[name] * part for name, part in parts.items()))
        parts["discriminator"] = told_apart(self.discriminator, grey(targets), grey(results), cross_entropy)
        step(self.optimizers[1], parts["discriminator"])
        return {name: part.item() for name, part in parts.items()}

    def losses(self, results: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The generator's losses, see `update`, of its results for photos with these targets."""
        return {"colour": functional.mse_loss(blurred(results), blurred(targets)),
                "texture": mistaken(self.discriminator, grey(results), cross_entropy),
                "content": self.content.distance(results, targets),
                "smoothness": total_variation(results)}


def fit_dped(pairs: Pairs, *, num_photos: int, seed: int = 0, device: str = "cpu", look: Look | None = None,
             batch_size: int = 8, learning_rate: float = 1e-3, colour_weight: float = 100.0,
             texture_weight: float = 0.05, content_weight: float = 1.0, smoothness_weight: float = 0.1, width: int = 8,
             num_blocks: int = 3, halvings: int = 1, discriminator_width: int = 8) -> Retouch:
    """DPED's generator, which has learned from photos and their good versions.

    Args:
        pairs: Source of the photos.
        num_photos: Photos to learn from, rounded up to whole batches; the content network learns from half as many.
        seed: Seed of the weights; photos are the source's.
        device: Device of the training.
        look: See `crops.Look`.
        batch_size: Photos in a step.
        learning_rate: Adam's, for both networks; in the second half it falls linearly to 0.
        colour_weight: Weight of the squared difference to the target once both are blurred.
        texture_weight: Weight of the discriminator's loss.
        content_weight: Weight of the difference to the target in features.
        smoothness_weight: Weight of the total variation.
        width: See `translation.Generator`.
        num_blocks: Likewise.
        halvings: Likewise; 0 in the paper.
        discriminator_width: Channels of its first convolution, see `networks.Stack`.

    Raises:
        ValueError: If a number is too small.
    """
    check_amount(num_photos, batch_size)
    weights = {"colour_weight": colour_weight, "texture_weight": texture_weight, "content_weight": content_weight,
               "smoothness_weight": smoothness_weight}
    check_rates(learning_rate=learning_rate)
    check_weights(**weights)
    torch.manual_seed(seed)
    content = fit_features(lambda num: _planes(pairs.batch(num)[1]), num_photos=round(FEATURE_SHARE * num_photos),
                           device=device)
    game = DPED(content, pairs.size, width=width, num_blocks=num_blocks, halvings=halvings,
                discriminator_width=discriminator_width, learning_rate=learning_rate, device=device, **weights)
    return play(game, lambda num: [_planes(images).to(device) for images in pairs.batch(num)],
                Translation(game.generator, pairs.size), num_photos=num_photos, batch_size=batch_size, look=look)


def _planes(images: Tensor) -> Tensor:
    """(N, H, W, 3) -> (N, 3, H, W)."""
    return images.permute(0, 3, 1, 2)
