"""The content network: what it learns, and the distance that it gives."""

import pytest
import torch
from torch import nn

from agents.rivals.crops import Crops
from agents.rivals.features import TurnNet, fit_features, turned


def test_images_are_turned_by_the_quarters_told():
    image = torch.arange(4.0).reshape(1, 2, 2).expand(5, 1, 2, 2)  # 0 1 / 2 3
    rotated, turns = turned(image)
    assert turns.tolist() == [0, 1, 2, 3, 0]
    assert rotated[:, 0].flatten(1).tolist() == [[0, 1, 2, 3], [1, 3, 0, 2], [3, 2, 1, 0], [2, 0, 3, 1], [0, 1, 2, 3]]


def test_it_learns_the_turn_of_photos(one_thread, sample_photos):
    train = Crops(sample_photos[:12], 48, 0)
    net = fit_features(train.batch, num_photos=1600)
    images, turns = turned(Crops(sample_photos[:12], 48, 1).batch(200))
    assert (net(images).argmax(1) == turns).float().mean() > 0.45  # by chance 0.25
    assert not any(weights.requires_grad for weights in net.parameters())


def test_the_distance_is_relative_and_moves_only_the_image():
    """Features that are the image's own channels, halved: a tenth more everywhere is 0.01 of the mean square."""
    net = TurnNet(1)
    layer = nn.Conv2d(3, 3, 1)
    nn.init.eye_(layer.weight.data[:, :, 0, 0])
    nn.init.ones_(layer.bias)
    layer.weight.data /= 2
    layer.bias.data /= 2  # undoes the network's own step from [0, 1] to [-1, 1]
    net.features = layer
    others = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    images = (1.1 * others).detach().requires_grad_(True)
    distance = net.distance(images, others)
    assert distance.item() == pytest.approx(0.01, rel=1e-3) and net.distance(others, others) == 0
    distance.backward()
    assert others.grad is None and images.grad.abs().sum() > 0
