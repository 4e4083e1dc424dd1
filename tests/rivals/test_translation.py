"""Networks from image to image, and photos of any size through them."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch import nn

from agents.rivals.translation import Generator, PatchDiscriminator, Translation, guided


class Half(nn.Module):
    """A stop less, as a network."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))

    def forward(self, images):
        return self.gain * images


def stirred(generator):
    """The generator with a correction other than 0."""
    for weights in generator.parameters():
        nn.init.normal_(weights, std=0.1)
    return generator


@pytest.mark.parametrize("halvings", [0, 1, 2])
@pytest.mark.parametrize("norm", ["none", "instance"])
def test_generators_take_any_size_and_at_first_change_nothing(halvings, norm):
    torch.manual_seed(0)
    generator = Generator(4, 1, halvings, norm=norm)
    for size in ((64, 64), (1, 1), (1, 37), (23, 17), (30, 50)):
        images = torch.rand(2, 3, *size)
        assert (generator(images) == images).all()
        assert (stirred(Generator(4, 1, halvings, norm=norm))(images) != images).all()


def test_a_constant_image_stays_constant_where_padding_adds_nothing():
    """Without halvings all padding repeats what is there; the only source of edges would be the padding."""
    torch.manual_seed(0)
    result = stirred(Generator(4, 2, 0))(torch.full((1, 3, 19, 21), 0.3))
    assert result.std((2, 3)).max() < 1e-6


def test_an_odd_image_is_treated_as_the_left_upper_part_of_one_with_its_edge_repeated():
    torch.manual_seed(0)
    generator, image = stirred(Generator(4, 1, 2)), torch.rand(1, 3, 22, 29)
    whole = torch.as_tensor(np.pad(image, ((0, 0), (0, 0), (0, 2), (0, 3)), mode="edge"))
    assert (generator(image) == generator(whole)[..., :22, :29]).all()


def test_instance_normalisation_hides_how_bright_a_photo_is_and_its_absence_does_not():
    torch.manual_seed(0)
    image = 0.2 + 0.2 * torch.rand(1, 3, 32, 32)
    for norm, blind in (("instance", True), ("none", False)):
        generator = stirred(Generator(4, 1, 0, norm=norm))
        dark, bright = (generator(each) - each for each in (image, image + 0.3))
        assert torch.allclose(dark, bright, atol=1e-4) == blind


@pytest.mark.parametrize("halvings, reach", [(1, 16), (2, 34), (3, 70)])
def test_a_patch_is_as_wide_as_told(halvings, reach):
    torch.manual_seed(0)
    image = torch.rand(1, 3, 160, 160, requires_grad=True)
    scores = PatchDiscriminator(4, halvings)(image)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    rows = image.grad.abs().sum((0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == reach


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (31, 20), (64, 64), (80, 200)])
def test_small_photos_go_through_the_network_as_they_are(size):
    photo = np.random.default_rng(0).random((*size, 3), np.float32)
    result = Translation(Half(), 64)(photo)
    assert result.dtype == np.float32 and result.shape == photo.shape
    np.testing.assert_allclose(result, photo / 2, atol=1e-7)


def test_large_photos_keep_their_detail():
    photo = skimage.data.coffee()[:301, :517].astype(np.float32) / 255
    result = Translation(Half(), 64)(photo)
    assert result.shape == photo.shape and result.dtype == np.float32
    assert np.abs(result - photo / 2).mean() < 0.01
    blurred = cv2.resize(cv2.resize(photo / 2, (103, 60), interpolation=cv2.INTER_AREA), (517, 301))
    assert np.abs(result - photo / 2).mean() < np.abs(blurred - photo / 2).mean() / 2
    same = Translation(Generator(4, 1), 64)(photo)
    np.testing.assert_allclose(same, photo, atol=1e-6)


def test_what_is_linear_in_each_channel_is_enlarged_with_all_edges():
    rng = np.random.default_rng(0)
    photo = (rng.random((120, 90, 3)) > 0.5).astype(np.float32)
    small = cv2.resize(photo, (45, 60), interpolation=cv2.INTER_NEAREST)
    result = guided(photo, small, 0.3 + 0.4 * small)
    assert np.abs(result - 0.3 - 0.4 * photo).mean() < 0.01


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (64, 64), (200, 333)])
def test_results_lie_in_the_unit_range(size):
    torch.manual_seed(0)
    generator = stirred(Generator(4, 1))
    nn.init.constant_(generator.layers[-2].bias, 2.0)
    photo = np.random.default_rng(0).random((*size, 3), np.float32)
    for result in (Translation(generator)(photo), Translation(generator)(1 - photo)):
        assert result.min() >= 0 and result.max() == 1 and result.shape == photo.shape


def test_what_is_no_photo_or_no_network_is_refused():
    with pytest.raises(ValueError, match="at least 1, halvings at least 0 and kernel odd, not 0, 3, 2 and 3"):
        Generator(0)
    with pytest.raises(ValueError, match="8, 3, 2 and 4"):
        Generator(kernel=4)
    for network in (Generator, PatchDiscriminator):
        with pytest.raises(ValueError, match='"none" or "instance", not \'batch\''):
            network(norm="batch")
    with pytest.raises(ValueError, match="not 16 and 0"):
        PatchDiscriminator(halvings=0)
    with pytest.raises(ValueError, match="from 2 to 2"):
        Translation(Half())(np.full((4, 4, 3), 2.0, np.float32))
