"""WESPE (Ignatov, Kobyshev, Timofte, Vanhoey and Van Gool, 2018) as a rival: DPED's sibling for unpaired photos.

Where DPED compares a result with its target, WESPE has none. A discriminator of blurred images takes the place of the
colour loss, another judges grey images as in DPED, and the content loss compares the photo with what a second generator
makes of the result, on the way back. Generators, blur, total variation and content network are those of `dped`; what
departs from the paper does so in the same ways. One thing is added: besides its features, the pixels of the photo are
compared with those of what comes back, as in CycleGAN. Features of so small a network alone don't hold colours fast.
"""

import torch
from torch import Tensor
from torch.nn import functional

from agents.networks import Stack
from agents.rivals.crops import Crops, Look, Retouch, batches_of_both, check_amount
from agents.rivals.dped import FEATURE_SHARE
from agents.rivals.features import TurnNet, fit_features
from agents.rivals.games import BETAS, adam, check_rates, check_weights, cross_entropy, mistaken, play, step, told_apart
from agents.rivals.losses import blurred, grey, total_variation
from agents.rivals.translation import Generator, Translation


class WESPE:
    """Two generators, two discriminators, and their training.

    Args:
        content: The network whose features the content loss compares.
        size: Side of the images [px].
        width: See `fit_wespe`, here and below.
        num_blocks: See there.
        halvings: See there.
        discriminator_width: See there.
        learning_rate: See there.
        discriminator_learning_rate: See there.
        colour_weight: See there.
        texture_weight: See there.
        content_weight: See there.
        cycle_weight: See there.
        smoothness_weight: See there.
        device: Device of the networks.
    """

    def __init__(self, content: TurnNet, size: int, *, width: int, num_blocks: int, halvings: int,
                 discriminator_width: int, learning_rate: float, discriminator_learning_rate: float,
                 colour_weight: float, texture_weight: float, content_weight: float, cycle_weight: float,
                 smoothness_weight: float, device: str = "cpu"):
        self.content = content
        self.weights = {"colour": colour_weight, "texture": texture_weight, "content": content_weight,
                        "cycle": cycle_weight, "smoothness": smoothness_weight}
        self.forth, self.back = (Generator(width, num_blocks, halvings, kernel=5).to(device) for _ in range(2))
        self.of_colours, self.of_textures = (Stack(channels, size, 1, discriminator_width).to(device)
                                             for channels in (3, 1))
        self.optimizers = [adam((self.forth, self.back), learning_rate, BETAS),
                           adam((self.of_colours, self.of_textures), discriminator_learning_rate, BETAS)]

    def update(self, inputs: Tensor, experts: Tensor) -> dict[str, float]:
        """Takes one step of the generators, then one of the discriminators.

        Args:
            inputs: (N, 3, S, S) photos to retouch, in [0, 1].
            experts: (M, 3, S, S) experts' photos, in [0, 1].

        Returns:
            The generators' losses "colour", "texture", "content", "cycle" and "smoothness", unweighted, and
            "discriminator".
        """
        results = self.forth(inputs)
        parts = self.losses(inputs, results)
        step(self.optimizers[0], sum(self.weights[name] * part for name, part in parts.items()))
        parts["discriminator"] = (
            told_apart(self.of_colours, blurred(experts), blurred(results), cross_entropy)
            + told_apart(self.of_textures, grey(experts), grey(results), cross_entropy))
        step(self.optimizers[1], parts["discriminator"])
        return {name: part.item() for name, part in parts.items()}

    def losses(self, inputs: Tensor, results: Tensor) -> dict[str, Tensor]:
        """The generators' losses, see `update`, of the first one's results."""
        again = self.back(results)
        return {"colour": mistaken(self.of_colours, blurred(results), cross_entropy),
                "texture": mistaken(self.of_textures, grey(results), cross_entropy),
                "content": self.content.distance(again, inputs),
                "cycle": functional.l1_loss(again, inputs),
                "smoothness": total_variation(results)}


def fit_wespe(inputs: Crops, experts: Crops, *, num_photos: int, seed: int = 0, device: str = "cpu",
              look: Look | None = None, batch_size: int = 8, learning_rate: float = 3e-4,
              discriminator_learning_rate: float = 1e-3, colour_weight: float = 1.0, texture_weight: float = 1.0,
              content_weight: float = 1.0, cycle_weight: float = 10.0, smoothness_weight: float = 0.1, width: int = 8,
              num_blocks: int = 3, halvings: int = 1, discriminator_width: int = 8) -> Retouch:
    """WESPE's generator, which has learned from photos to retouch and experts' photos, unpaired.

    Args:
        inputs: Source of photos to retouch.
        experts: Source of good photos, of the same size, as many in each step.
        num_photos: Photos to retouch to learn from, rounded up to whole batches; the content network learns from a
            quarter as many of each source.
        seed: Seed of the weights; photos are the sources'.
        device: Device of the training.
        look: See `crops.Look`.
        batch_size: Photos of each source in a step.
        learning_rate: Adam's, for the generators; in the second half it falls linearly to 0.
        discriminator_learning_rate: Likewise, for the discriminators.
        colour_weight: Weight of the loss of the discriminator that sees blurred images.
        texture_weight: Weight of the loss of the one that sees grey images.
        content_weight: Weight of the difference in features of what went there and back.
        cycle_weight: Weight of its mean absolute difference in pixels; 0 in the paper.
        smoothness_weight: Weight of the total variation.
        width: See `translation.Generator`.
        num_blocks: Likewise.
        halvings: Likewise; 0 in the paper.
        discriminator_width: Channels of their first convolutions, see `networks.Stack`.

    Raises:
        ValueError: If a number is too small, or the sources' crops differ in size.
    """
    check_amount(num_photos, batch_size)
    if inputs.size != experts.size:
        raise ValueError(f"inputs and experts must be of one size, not {inputs.size} and {experts.size} px")
    weights = {"colour_weight": colour_weight, "texture_weight": texture_weight, "content_weight": content_weight,
               "cycle_weight": cycle_weight, "smoothness_weight": smoothness_weight}
    check_rates(learning_rate=learning_rate, discriminator_learning_rate=discriminator_learning_rate)
    check_weights(**weights)
    torch.manual_seed(seed)
    content = fit_features(lambda num: torch.cat([inputs.batch(num - num // 2), experts.batch(num // 2)]),
                           num_photos=round(FEATURE_SHARE * num_photos), device=device)
    game = WESPE(content, inputs.size, width=width, num_blocks=num_blocks, halvings=halvings,
                 discriminator_width=discriminator_width, learning_rate=learning_rate,
                 discriminator_learning_rate=discriminator_learning_rate, device=device, **weights)
    return play(game, batches_of_both(inputs, experts, device), Translation(game.forth, inputs.size),
                num_photos=num_photos, batch_size=batch_size, look=look)
