"""LPIPS: by its definition, and only with the right weights. AlexNet's own are not everywhere: here, random ones."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from agents.evaluation import perceptual
from agents.evaluation.perceptual import DIGEST, SMALLEST, lpips

pytestmark = pytest.mark.skipif(find_spec("torchmetrics") is None, reason="needs torchmetrics")
SHAPES = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}  # out, in, side


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder like Torch's own, with an AlexNet of random weights, and with more than its features."""
    folder, weights = tmp_path_factory.mktemp("torch"), {"classifier.1.weight": torch.zeros(1)}
    file = folder / "hub" / "checkpoints" / perceptual.WEIGHTS
    file.parent.mkdir(parents=True)
    random = torch.Generator().manual_seed(0)
    for place, (out, into, side) in SHAPES.items():
        weights[f"features.{place}.weight"] = torch.randn(out, into, side, side, generator=random) / side / into**0.5
        weights[f"features.{place}.bias"] = torch.randn(out, generator=random) / 10
    torch.save(weights, file)
    return folder


@pytest.fixture
def digest(home, monkeypatch):
    """The digest of the weights that are found."""
    monkeypatch.setenv("TORCH_HOME", str(home))
    lpips.cache_clear()
    yield hashlib.sha256(perceptual.weights_file().read_bytes()).hexdigest()[: len(DIGEST)]
    lpips.cache_clear()


def images(seed, side=64):
    return np.random.default_rng(seed).random((2, side, side, 3), np.float32)


def test_it_is_the_weighted_difference_of_the_features_directions(digest):
    weights = torch.load(perceptual.weights_file(), weights_only=True)
    channels = torch.load(Path(find_spec("torchmetrics").origin).parent / perceptual.CHANNELS, "cpu", weights_only=True)
    expected, planes = np.zeros(2), [(torch.from_numpy(images(seed).transpose(0, 3, 1, 2)) * 2 - 1) for seed in (0, 1)]
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    planes = [(each - shift[:, None, None]) / scale[:, None, None] for each in planes]
    for number, (place, (stride, padding, pool)) in enumerate({0: (4, 2, 0), 3: (1, 2, 1), 6: (1, 1, 1), 8: (1, 1, 0),
                                                               10: (1, 1, 0)}.items()):  # fmt: skip
        planes = [F.max_pool2d(each, 3, 2) if pool else each for each in planes]
        kernel, bias = (weights[f"features.{place}.{kind}"] for kind in ("weight", "bias"))
        planes = [F.conv2d(each, kernel, bias, stride, padding).relu() for each in planes]
        ours, theirs = (F.normalize(each.double(), dim=1).numpy() for each in planes)
        share = channels[f"lin{number}.model.1.weight"].double().numpy()
        assert share.size == ours.shape[1] and share.min() >= 0
        expected += ((ours - theirs) ** 2 * share).sum(1).mean((1, 2))
    np.testing.assert_allclose(lpips(digest)(images(0), images(1)), expected, rtol=1e-4)


def test_it_is_nothing_for_the_same_and_grows_with_the_difference_in_any_type(digest):
    distance, target, noise = lpips(digest), images(0), images(1) - 0.5
    far, near = (distance(np.clip(target + scale * noise, 0, 1), target) for scale in (0.3, 0.03))
    assert far.shape == (2,) and far.dtype == np.float64 and np.all(far > near) and np.all(near > 0)
    np.testing.assert_array_equal(distance(target, target), 0)
    levels = np.rint(target * 255).astype(np.uint8)
    np.testing.assert_array_equal(distance(levels, levels / np.float32(255)), 0)


def test_photos_too_small_for_it_have_none(digest):
    assert np.all(np.isfinite(lpips(digest)(images(0, SMALLEST), images(1, SMALLEST))))
    assert np.all(np.isnan(lpips(digest)(images(0, SMALLEST - 1), images(1, SMALLEST - 1))))


def test_other_weights_are_named_and_left_out(digest, home):
    with pytest.warns(UserWarning, match=f"{home}.*has to begin with {DIGEST}, not {digest}"):
        assert lpips() is None


def test_without_weights_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    lpips.cache_clear()
    assert lpips() is None
    lpips.cache_clear()
