"""What the renderings have in common: what they say they blend, at the thumbnail's size and so at full size."""

import numpy as np
import pytest

from exposure_env.fusion import FUSIONS
from exposure_env.increments import is_additive
from exposure_env.pyramid import blend
from exposure_env.retouch import RetouchPlan

OPTIONS = [("local", {}), ("mask_pyramid", {}), ("mask_pyramid", {"feather": 4, "levels": 2}), ("mertens", {}),
           ("mertens", {"include_input": False, "contrast": 0.5, "epsilon": 1e-3}), ("mertens_masked", {}),
           ("mertens_masked", {"include_input": True, "feather": 2, "clip_input": False})]  # fmt: skip


@pytest.fixture
def thumbnail(sample_photos):
    return sample_photos[0]


@pytest.mark.parametrize(("fusion", "options"), OPTIONS)
@pytest.mark.parametrize("space", ["linear", "encoded"])
def test_the_layers_of_a_plan_blend_to_what_it_renders(fusion, options, space, thumbnail):
    labels = np.kron(np.arange(4).reshape(2, 2), np.ones((32, 32), int))
    plan = RetouchPlan(labels, [1.2, -0.7, 0.0, 0.4], fusion, options, space)
    layers = plan.layers(thumbnail)
    num = 4 + plan.options.get("include_input", False)
    assert layers.evs.shape == (1, num) and layers.images.shape == (1, num, 3, 64, 64)
    np.testing.assert_allclose(layers.weights.sum(axis=1), 1, atol=1e-5)
    levels = plan.options.get("levels", 0)
    blended = np.moveaxis(blend(layers.images, layers.weights, 6 if levels is None else levels)[0], 0, -1)
    np.testing.assert_allclose(np.clip(blended, 0, 1), plan.render(thumbnail), atol=2e-4)


def test_additive_are_those_whose_weights_do_not_depend_on_the_images():
    assert {name for name in FUSIONS if is_additive(name)} == {"local", "mask_pyramid"}
    assert not is_additive(FUSIONS["local"])
