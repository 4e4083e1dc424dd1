"""The compiled renderings against the definition: in float64 it is the truth, in float32 its error is the measure.

Measured on photographs with EVs uniform in +-3: `local` and `mask_pyramid` err by 1e-8 on average and by 2e-7 at most
(definition: 2e-8 to 4e-8 and 3e-7), `mertens` and `mertens_masked` with an epsilon of 1e-6 by 3e-8 and by 4e-5 at most
(definition: 8e-8 and 3e-5): where weights are near epsilon, what contrast is left is decided by rounding.
"""

import inspect
import pickle
from functools import partial

import numpy as np
import pytest
import torch

from exposure_env import kernels
from exposure_env.fusion import FUSIONS, resolve_fusion
from exposure_env.segmentation import segment

pytestmark = pytest.mark.skipif(not kernels.enabled(), reason="numba is missing, or EXPOSURE_KERNELS is 0")

WORST = {"local": 1e-6, "mask_pyramid": 1e-6, "mertens": 2e-4, "mertens_masked": 2e-4}
SHAPES = [(64, 64), (1, 1), (1, 9), (9, 1), (2, 3), (3, 2), (4, 4), (20, 17), (33, 50), (13, 130), (129, 6)]
OPTIONS = {
    "local": [{}, {"clip_output": False}],
    "mask_pyramid": [{}, {"levels": 0}, {"levels": 9, "feather": 0}, {"levels": 1, "feather": 5},
                     {"clip_input": False}, {"clip_output": False}, {"clip_input": False, "clip_output": False}],
    "mertens": [{}, {"include_input": False}, {"levels": 0}, {"levels": 2}, {"exposedness": 2.5}, {"contrast": 0},
                {"saturation": 0, "exposedness": 0}, {"contrast": 2, "saturation": 0.5}, {"epsilon": 1e-3},
                {"clip_input": False, "clip_output": False}],
    "mertens_masked": [{}, {"include_input": True}, {"levels": 5, "feather": 0}, {"contrast": 0.5, "exposedness": 0},
                       {"epsilon": 1e-3}, {"clip_input": False, "clip_output": False}],
}  # fmt: skip
CASES = [(name, options) for name, choices in OPTIONS.items() for options in choices]
cases = pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{name}-{options}" for name, options in CASES])
names = pytest.mark.parametrize("name", sorted(FUSIONS))
spaces = pytest.mark.parametrize("space", ["linear", "encoded"])


def compiled(name):
    return getattr(kernels.load("fusion"), name)


def definition(name):
    return inspect.unwrap(FUSIONS[name])


def plan(shape=(64, 64), num=3, slots=5, seed=0):
    """Photos with flat areas, black, white and grey; blobs as segments, one of them absent; EVs, some 0."""
    rng = np.random.default_rng(seed)
    photos = rng.random((num, *shape, 3))
    photos[0] **= 4  # dark: many values below the knee of sRGB
    photos[1, :, : shape[1] // 2] = photos[1, :1, : shape[1] // 2, :1]  # grey, and flat from top to bottom
    photos[-1, : shape[0] // 3] = 0
    photos[-1, shape[0] // 2 :] = 1
    rows, columns = np.indices(shape) // 5
    labels = np.stack([(rows * 3 + columns * 7 + n) % (slots - 1) for n in range(num)])
    evs = rng.uniform(-3, 3, (num, slots))
    evs[:, 1] = 0
    return photos.astype(np.float32), labels.astype(np.int32), evs.astype(np.float32)


def errors(name, photos, labels, evs, count=None, **options):
    """Absolute errors of the kernel and of the definition in float32, relative to the range where that exceeds 1."""
    truth = definition(name)(photos.astype(np.float64), labels, evs.astype(np.float64), count, **options)
    ours, theirs = (f(photos, labels, evs, count, **options) for f in (compiled(name), definition(name)))
    assert ours.dtype == np.float32 and ours.shape == photos.shape and ours.flags.c_contiguous
    return [abs(image - truth) / max(1, abs(truth).max()) for image in (ours, theirs)]


@cases
@spaces
def test_every_option_equals_the_definition(name, options, space):
    counts = [None, np.array([5, 2, 0])]
    for count in counts:
        ours, theirs = errors(name, *plan(), count, space=space, **options)
        assert ours.max() <= max(WORST[name], 2 * theirs.max())
        assert ours.mean() <= max(1.2 * theirs.mean(), 1e-8)


@names
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_equals_the_definition(name, shape):
    for seed in range(3):
        ours, theirs = errors(name, *plan(shape, seed=seed), np.array([5, 3, 1]))
        assert ours.max() <= max(WORST[name], 2 * theirs.max())


@names
@spaces
@pytest.mark.parametrize("source", ["sample_photos", "real_photos"])
def test_on_photographs_the_error_is_no_larger_than_the_definitions(name, space, source, request):
    photos = np.stack(request.getfixturevalue(source)[:12])
    labels = np.stack([segment(photo, max_segments=8) for photo in photos])
    evs = np.random.default_rng(0).uniform(-3, 3, (12, 8)).astype(np.float32)
    ours, theirs = errors(name, photos, labels, evs, space=space)
    assert ours.mean() <= 1.05 * theirs.mean() and ours.max() <= WORST[name]
    assert ours.mean() < 1e-7


@names
@spaces
def test_extreme_exposures_stay_finite_and_near_the_definition(name, space):
    photos, labels, evs = plan()
    for factor in (1e-6, 4, 8):
        ours, theirs = errors(name, photos, labels, evs * np.float32(factor), space=space)
        assert ours.max() <= max(WORST[name], 2 * theirs.max())


@names
@spaces
@pytest.mark.parametrize("shape", [(64, 64), (20, 17), (1, 5)], ids=str)
def test_zero_exposures_leave_the_photo_bit_for_bit(name, space, shape):
    photos, labels, evs = plan(shape)
    np.testing.assert_array_equal(compiled(name)(photos, labels, evs * 0, space=space), photos)


@names
def test_an_image_does_not_depend_on_the_others_nor_on_the_number_of_threads(name, monkeypatch):
    photos, labels, evs = plan((40, 70), num=7)
    count = np.array([5, 0, 3, 1, 5, 2, 4])
    photos[3, 0] = np.nan  # and what is left of it in the working memory must not show
    alone = [compiled(name)(*(a[n : n + 1] for a in (photos, labels, evs, count)))[0] for n in range(7)]
    assert all(np.isfinite(image).all() for n, image in enumerate(alone) if n != 3) and np.isnan(alone[3]).any()
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("EXPOSURE_THREADS", threads)
        np.testing.assert_array_equal(compiled(name)(photos, labels, evs, count), np.stack(alone))
        np.testing.assert_array_equal(compiled(name)(photos[::-1], labels[::-1], evs[::-1], count[::-1]), alone[::-1])


@names
def test_inputs_may_be_read_only_strided_or_of_other_integers_and_are_not_changed(name):
    photos, labels, evs = plan()
    expected = compiled(name)(photos, labels, evs)
    before = [array.copy() for array in (photos, labels, evs)]
    for array in (photos, labels, evs):
        array.flags.writeable = False
    turned = np.moveaxis(np.ascontiguousarray(np.moveaxis(photos, 3, 1)), 1, 3)
    for given in (photos, turned):
        for kind in (np.int32, np.int64, np.uint8):
            np.testing.assert_array_equal(compiled(name)(given, labels.astype(kind), evs), expected)
    for array, copy in zip((photos, labels, evs), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_unknown_spaces_are_errors_as_in_the_definition():
    for name in FUSIONS:
        for f in (definition(name), compiled(name)):
            with pytest.raises(ValueError, match="'log'"):
                f(*plan((4, 4)), space="log")


@names
def test_a_rendering_is_compiled_for_float32_numpy_arrays_and_the_definition_for_all_else(name):
    photos, labels, evs = plan((20, 17))
    kernel, defined = compiled(name)(photos, labels, evs), definition(name)(photos, labels, evs)
    assert not np.array_equal(kernel, defined)  # or else this test could not tell them apart
    for given in (name, FUSIONS[name], partial(FUSIONS[name])):
        render = resolve_fusion(given)
        for callable_ in (render, resolve_fusion(render), pickle.loads(pickle.dumps(render))):
            np.testing.assert_array_equal(callable_(photos, labels, evs), kernel)
    render = resolve_fusion(name)
    with kernels.disabled():
        np.testing.assert_array_equal(render(photos, labels, evs), defined)
    doubles = render(photos.astype(np.float64), labels, evs.astype(np.float64))
    assert doubles.dtype == np.float64
    tensors = render(*map(torch.from_numpy, (photos, labels, evs)))
    assert isinstance(tensors, torch.Tensor) and np.abs(tensors.numpy() - kernel).max() < 1e-4


def test_options_of_a_partial_are_kept_and_may_be_overridden():
    photos, labels, evs = plan((20, 17))
    render = resolve_fusion(partial(FUSIONS["mertens"], include_input=False, levels=1))
    for options in ({}, {"levels": 3}, {"space": "encoded"}):
        expected = compiled("mertens")(photos, labels, evs, **{"include_input": False, "levels": 1} | options)
        np.testing.assert_array_equal(render(photos, labels, evs, **options), expected)


def test_a_callable_of_ones_own_is_returned_as_it_is_and_unknown_names_are_errors():
    def own(photos, labels, evs, count=None, **options):
        return photos

    assert resolve_fusion(own) is own
    given = partial(own, levels=3)
    assert resolve_fusion(given) is given
    with pytest.raises(ValueError, match="'average'"):
        resolve_fusion("average")


def test_labels_without_an_exposure_are_for_the_definition():
    photos, labels, evs = plan((20, 17))
    labels[0, 0, 0] = 5  # there are five exposures: no mask covers this pixel
    assert compiled("mask_pyramid")(photos, labels, evs) is NotImplemented
    result = FUSIONS["mask_pyramid"](photos, labels, evs)
    np.testing.assert_array_equal(result, definition("mask_pyramid")(photos, labels, evs))
    np.testing.assert_array_equal(FUSIONS["mertens"](photos, labels, evs), compiled("mertens")(photos, labels, evs))
