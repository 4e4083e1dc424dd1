"""Features of images for content losses, from a small network that learns here, from the photos alone.

DPED and WESPE take them from VGG-19, trained on a million labelled photographs. Here the network learns to tell by
which of four right angles a photo was turned (Gidaris, Singh and Komodakis, 2018): for that it has to know edges,
textures and what things look like, and nobody has to label anything. What it knows is little beside VGG.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.rivals.games import step

NUM_TURNS = 4


class TurnNet(nn.Module):
    """Images in; the features that a content loss compares out, and from these the turn.

    Args:
        width: Channels of the first convolution; there are four times as many features.
    """

    def __init__(self, width: int = 8):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(2 * width, 4 * width, 3, 1, 1), nn.ReLU(),
        )  # fmt: skip
        self.rest = nn.Sequential(nn.Conv2d(4 * width, 8 * width, 3, 2, 1), nn.ReLU(),
                                  nn.Conv2d(8 * width, 8 * width, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(8 * width, NUM_TURNS)
        for layer in (*self.features, *self.rest):
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> (N, 4) logits of the quarter turns."""
        return self.head(self.rest(self.features(2 * images - 1)).mean((2, 3)))

    def distance(self, images: Tensor, others: Tensor) -> Tensor:
        """The content loss: the mean squared difference of features, in units of their mean square in `others`.

        Args:
            images: (N, 3, H, W) in [0, 1].
            others: Images of the same shape; no gradient flows to them.
        """
        with torch.no_grad():
            wanted = self.features(2 * others - 1)
        return functional.mse_loss(self.features(2 * images - 1), wanted) / (wanted.square().mean() + 1e-8)


def turned(images: Tensor) -> tuple[Tensor, Tensor]:
    """The images (N, C, S, S), turned by 0, 1, 2, 3, 0, 1 ... quarters, and these numbers, (N,)."""
    turns = torch.arange(len(images), device=images.device) % NUM_TURNS
    rotated = [torch.rot90(image, number % NUM_TURNS, (1, 2)) for number, image in enumerate(images)]
    return torch.stack(rotated), turns


def fit_features(draw: Callable[[int], Tensor], *, num_photos: int, batch_size: int = 32, learning_rate: float = 5e-3,
                 device: str = "cpu") -> TurnNet:
    """A network that has learned to tell the turn; its weights come from Torch's generator, and are no longer learned.

    Args:
        draw: Function from a number to as many images, (num, 3, S, S) in [0, 1].
        num_photos: Images to learn from, rounded up to whole batches.
        batch_size: Images in a step.
        learning_rate: Largest learning rate of Adam, which rises to it and falls again.
        device: Device of the training.
    """
    net, steps = TurnNet().to(device), -(-num_photos // batch_size)
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=max(steps, 2))
    for _ in range(steps):
        images, turns = turned(draw(batch_size).to(device))
        step(optimizer, functional.cross_entropy(net(images), turns))
        schedule.step()
    return net.eval().requires_grad_(False)
