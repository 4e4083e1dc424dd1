import math
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from exposure_env.acceleration import disabled
from exposure_env.fusion import FUSIONS, mertens, mertens_weights, resolve_fusion, segment_masks
from exposure_env.image import clip, composite, expose
from exposure_env.pyramid import blend


@pytest.fixture(autouse=True)
def definitions():
    """All of this is about the definitions: their compiled twins have tests of their own."""
    with disabled():
        yield


# Every rendering, and those with the input's part in it the other way round.
RENDERINGS = FUSIONS | {
    "mertens_without_input": partial(FUSIONS["mertens"], include_input=False),
    "mertens_masked_with_input": partial(FUSIONS["mertens_masked"], include_input=True),
}
kinds = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
renderings = pytest.mark.parametrize("name", sorted(RENDERINGS))
spaces = pytest.mark.parametrize("space", ["linear", "encoded"])

pytestmark = pytest.mark.usefixtures("one_thread")


def random_plan(kind=np.asarray, num=2, shape=(20, 17), segments=3, dtype=np.float32):
    """Photos that also hold flat grey, black and white areas; labels in upright stripes; EVs."""
    rng = np.random.default_rng(0)
    photos = rng.random((num, *shape, 3))
    for row, value in enumerate((0.5, 0.0, 1.0)):
        photos[:, 4 * row : 4 * row + 4, :4] = value
    labels = np.broadcast_to(np.arange(shape[1]) * segments // shape[1], (num, *shape)).astype(np.int32)
    return kind(photos.astype(dtype)), kind(labels), kind(rng.uniform(-2, 2, (num, segments)).astype(dtype))


def planar(stack: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(stack.transpose(0, 3, 1, 2))[None]


def stack_of(photo: np.ndarray, evs: np.ndarray, space="linear") -> np.ndarray:
    return np.concatenate([photo[None], clip(expose(photo[None], evs[:, None, None], space))])


def opencv_mertens(stack: np.ndarray, contrast=1.0, saturation=1.0, exposedness=1.0) -> np.ndarray:
    """OpenCV's own blend, which wants floats in 0..255 and does not clip."""
    merge = cv2.createMergeMertens(contrast, saturation, exposedness)
    return merge.process([np.ascontiguousarray(image, np.float32) * 255 for image in stack])


def plain_mertens(stack: np.ndarray, epsilon: float) -> np.ndarray:
    """The article's formulas written down once more, in float64, with nothing of ours and no thought of gradients."""
    weights = []
    for image in stack.astype(np.float64):
        grey = np.pad(image @ [0.299, 0.587, 0.114], 1, mode="reflect")
        laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
        exposedness = np.exp(-((image - 0.5) ** 2) / (2 * 0.2**2)).prod(-1)
        weights.append(abs(laplacian) * image.std(-1) * exposedness + epsilon)
    layers = list(zip(stack.astype(np.float64), np.array(weights) / np.sum(weights, axis=0), strict=True))
    bands = []
    for _ in range(int(math.log2(min(stack.shape[1:3])))):
        coarser = [(cv2.pyrDown(image), cv2.pyrDown(weight)) for image, weight in layers]
        detail = [image - cv2.pyrUp(small, dstsize=image.shape[1::-1])
                  for (image, _), (small, _) in zip(layers, coarser, strict=True)]  # fmt: skip
        bands.append(sum(d * weight[..., None] for d, (_, weight) in zip(detail, layers, strict=True)))
        layers = coarser
    fused = sum(image * weight[..., None] for image, weight in layers)
    for band in reversed(bands):
        fused = band + cv2.pyrUp(fused, dstsize=band.shape[1::-1])
    return fused


def blended(stack: np.ndarray, epsilon: float) -> np.ndarray:
    """Our definition on a ready stack (T, H, W, 3), in the stack's own precision."""
    weights = mertens_weights(planar(stack)) + epsilon
    levels = int(math.log2(min(stack.shape[1:3])))
    return blend(planar(stack), weights / weights.sum(1, keepdims=True), levels)[0].transpose(1, 2, 0)


@kinds
def test_weights_of_a_red_dot_by_hand(kind):
    photo = np.zeros((3, 3, 3))
    photo[1, 1, 0] = 1
    images = kind(planar(photo[None]))
    contrast = 0.299 * np.array([[0, 2, 0], [2, 4, 2], [0, 2, 0]])  # reflect-101: a border pixel sees the dot twice
    saturation = math.sqrt(2) / 3 * photo[..., 0]  # standard deviation of 1, 0, 0
    exposedness = np.full((3, 3), math.exp(-3 * 0.25 / 0.08))
    for powers in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (2, 1, 0.5)):
        weights = mertens_weights(images, **dict(zip(("contrast", "saturation", "exposedness"), powers, strict=True)))
        expected = contrast ** powers[0] * saturation ** powers[1] * exposedness ** powers[2]
        np.testing.assert_allclose(weights[0, 0], expected, atol=1e-9)


def test_each_weight_is_that_of_opencvs_building_blocks(sample_photos):
    for photo in sample_photos:
        grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        laplacian = cv2.Laplacian(grey, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REFLECT_101)
        mean = photo.mean(-1, keepdims=True)
        stages = {
            (1, 0, 0): abs(laplacian),
            (0, 1, 0): np.sqrt(((photo - mean) ** 2).sum(-1)) / math.sqrt(3),  # OpenCV leaves out the constant
            (0, 0, 1): np.exp(-((photo - 0.5) ** 2).sum(-1) / 0.08),
        }
        for (contrast, saturation, exposedness), expected in stages.items():
            options = dict(contrast=contrast, saturation=saturation, exposedness=exposedness)
            np.testing.assert_allclose(mertens_weights(planar(photo[None]), **options)[0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("powers", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0, 0, 0), (1, 2, 0.5)])
@pytest.mark.parametrize("shape", [(64, 64), (33, 50), (8, 128), (1, 40), (40, 1), (3, 2)])
def test_mertens_in_float64_equals_opencv_on_chromatic_photos(powers, shape):
    photo = np.random.default_rng(0).uniform(0.05, 0.5, (*shape, 3)) * [0.5, 1, 0.25]
    evs = np.array([-1.0, 0.6, 0.9])
    options = dict(zip(("contrast", "saturation", "exposedness"), powers, strict=True), epsilon=1e-12)
    ours = mertens(photo[None], np.zeros((1, *shape), int), evs[None], clip_output=False, **options)[0]
    np.testing.assert_allclose(ours, opencv_mertens(stack_of(photo, evs), *powers), atol=1e-5)


@pytest.mark.parametrize("source", ["sample_photos", "real_photos"])
def test_float32_mertens_is_at_least_as_exact_as_opencv_on_photographs(source, request):
    rng = np.random.default_rng(0)
    photos = request.getfixturevalue(source)
    assert len(photos) >= 12
    for photo in photos:
        evs = rng.uniform(-3, 3, rng.integers(3, 8)).astype(np.float32)
        stack = stack_of(photo, evs)  # the photo and 3..7 exposures of it, float32
        reference = blended(stack.astype(np.float64), 1e-12)
        np.testing.assert_allclose(reference, plain_mertens(stack, 1e-12), rtol=0, atol=1e-4)
        ours = mertens(photo[None], np.zeros((1, *photo.shape[:2]), int), evs[None], epsilon=1e-12)[0]
        assert ours.dtype == np.float32
        off, opencv_off = (abs(image - clip(reference)) for image in (ours, clip(opencv_mertens(stack))))
        # Below one rounding of 1.0 in float32 neither is better than the other.
        assert off.mean() <= max(opencv_off.mean(), np.finfo(np.float32).eps)
        assert (off > 1 / 255).mean() <= (opencv_off > 1 / 255).mean()


@pytest.mark.parametrize("epsilon", [1e-12, 1e-6])
def test_the_definition_equals_plain_mertens_on_photographs_and_flat_areas(sample_photos, epsilon):
    flat = random_plan(dtype=np.float64)[0][0]
    for photo in [flat, *sample_photos]:
        stack = stack_of(photo.astype(np.float64), np.array([-2.0, -1.0, 1.0, 2.0]))
        np.testing.assert_allclose(blended(stack, epsilon), plain_mertens(stack, epsilon), rtol=0, atol=1e-4)


@kinds
def test_uniform_greys_blend_to_their_arithmetic_mean(kind):
    photo, labels = kind(np.full((1, 32, 24, 3), 90 / 255)), kind(np.zeros((1, 32, 24), int))
    evs = kind(np.log2([[30 / 90, 200 / 90]]))
    result = mertens(photo, labels, evs, space="encoded", epsilon=1e-12)
    np.testing.assert_allclose(np.asarray(result) * 255, np.full((1, 32, 24, 3), 320 / 3), atol=1e-6)


@renderings
@spaces
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_equals_numpy_and_dtype_is_kept(name, space, dtype, sample_photos):
    photos, labels, evs = random_plan(num=6, shape=(64, 64), segments=4, dtype=dtype)
    photos[1:] = np.stack(sample_photos[:10:2])
    count = np.array([4, 3, 2, 1, 0, 4])
    on_numpy = RENDERINGS[name](photos, labels, evs, count, space=space)
    on_torch = RENDERINGS[name](*map(torch.from_numpy, (photos, labels, evs, count)), space=space)
    assert on_numpy.dtype == dtype and on_torch.numpy().dtype == dtype and on_numpy.shape == photos.shape
    np.testing.assert_allclose(on_torch, on_numpy, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-9)


@renderings
@spaces
@pytest.mark.parametrize("flat", [False, True], ids=["textured", "flat grey"])
def test_gradient_is_that_of_central_differences(name, space, flat):
    photos, labels, evs = random_plan(torch.from_numpy, dtype=np.float64)
    if flat:
        photos[0], photos[1, :, 8:] = 0.4, 0.25
    projection = torch.rand(photos.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def projected(evs):
        return (RENDERINGS[name](photos, labels, evs, space=space) * projection).sum((1, 2, 3))

    evs.requires_grad_()
    (gradient,) = torch.autograd.grad(projected(evs).sum(), evs)
    by_differences = torch.zeros_like(gradient)
    with torch.no_grad():
        for segment in range(evs.shape[1]):
            step = torch.zeros_like(evs)
            step[:, segment] = 1e-6
            by_differences[:, segment] = (projected(evs + step) - projected(evs - step)) / 2e-6
    assert (gradient.abs() > 1e-3).any()
    torch.testing.assert_close(gradient, by_differences, rtol=1e-5, atol=1e-5)


@renderings
def test_gradcheck(name):
    photos, labels, evs = random_plan(torch.from_numpy, num=1, shape=(12, 7), segments=2, dtype=np.float64)
    assert torch.autograd.gradcheck(partial(RENDERINGS[name], photos, labels), (evs.requires_grad_(),))


@renderings
@kinds
@pytest.mark.parametrize("shape", [(64, 64), (1, 9), (9, 1), (1, 1), (2, 3)])
def test_uniform_photos_of_any_shape_give_the_mean_of_their_exposures_and_finite_gradients(name, kind, shape):
    values, stops = np.array([0, 0.5, 1], np.float32), np.array([-3.0, 0.0, 2.5], np.float32)
    photos = np.broadcast_to(values[:, None, None, None], (3, *shape, 3)).copy()
    labels, evs = np.zeros((3, *shape), np.int32), np.broadcast_to(stops, (3, 3)).copy()
    photos, labels, evs = map(kind, (photos, labels, evs))
    if kind is torch.from_numpy:
        evs.requires_grad_()
    result = RENDERINGS[name](photos, labels, evs)
    if kind is torch.from_numpy:
        assert torch.isfinite(torch.autograd.grad(result.sum(), evs)[0]).all()
        result = result.detach()
    result = np.asarray(result)
    assert np.isfinite(result).all() and result.min() >= 0 and result.max() <= 1
    assert (np.ptp(result, axis=(1, 2, 3)) < 1e-6).all() and (result[0] == 0).all()
    exposures = stack_of(np.broadcast_to(values, (1, 3))[..., None], stops)[1:, 0, :, 0]  # (3 EVs, 3 photos)
    if name in ("local", "mask_pyramid", "mertens_masked"):  # one segment, hence one exposure
        np.testing.assert_allclose(result[:, 0, 0, 0], exposures[0], atol=1e-6)
    if name == "mertens_without_input":
        np.testing.assert_allclose(result[:, 0, 0, 0], exposures.mean(0), atol=1e-6)


@renderings
@kinds
@pytest.mark.parametrize("shape", [(20, 17), (12, 1), (12, 40)])
def test_zero_actions_leave_the_photo(name, kind, shape):
    photos, labels, evs = random_plan(kind, shape=shape)
    np.testing.assert_allclose(RENDERINGS[name](photos, labels, evs * 0), photos, atol=1e-6)


@kinds
@spaces
def test_zero_actions_leave_the_local_image_bit_for_bit(kind, space):
    photos, labels, evs = random_plan(kind)
    np.testing.assert_array_equal(FUSIONS["local"](photos, labels, evs * 0, space=space), photos)


@kinds
@spaces
def test_local_is_the_composite_of_the_exposures_of_its_segments(kind, space):
    photos, labels, evs = random_plan(kind)
    result = FUSIONS["local"](photos, labels, evs, space=space, clip_output=False)
    layers = expose(photos[:, None], evs[:, :, None, None], space)
    np.testing.assert_allclose(result, composite(layers, labels), rtol=1e-6, atol=1e-7)
    if space == "encoded":  # S_0 * sum_k e_k mask_k
        masks = np.asarray(segment_masks(labels, 3, photos))
        gains = np.einsum("nk,nkhw->nhw", 2.0 ** np.asarray(evs), masks)
        np.testing.assert_allclose(result, np.asarray(photos) * gains[..., None], rtol=1e-6)


@renderings
@kinds
def test_the_order_of_the_segments_plays_no_part(name, kind):
    photos, labels, evs = random_plan()
    order = np.array([2, 0, 1])  # segment k becomes segment order[k]
    moved = np.empty_like(evs)
    moved[:, order] = evs
    result = RENDERINGS[name](*map(kind, (photos, labels, evs)))
    again = RENDERINGS[name](*map(kind, (photos, order.astype(np.int32)[labels], moved)))
    np.testing.assert_allclose(again, result, atol=0 if name == "local" else 1e-6)


@kinds
def test_mertens_does_not_know_which_segment_asked_and_the_others_do(kind):
    photos, labels, evs = random_plan(kind)
    swapped = kind(np.asarray(evs)[:, [2, 0, 1]].copy())
    for name, rendering in RENDERINGS.items():
        difference = abs(rendering(photos, labels, swapped) - rendering(photos, labels, evs)).max()
        assert difference < 1e-6 if name in ("mertens", "mertens_without_input") else difference > 0.1, name


@kinds
@pytest.mark.parametrize("feather", [0, 1, 8])
def test_masks_add_up_to_one_and_are_the_labels_themselves_without_feather(kind, feather):
    _, labels, evs = random_plan(kind)
    masks = np.asarray(segment_masks(labels, 4, evs, feather))
    np.testing.assert_allclose(masks.sum(1), np.ones((2, 20, 17)), atol=1e-6)
    assert masks.min() >= 0 and not masks[:, 3].any() and masks.dtype == np.float32
    if not feather:
        np.testing.assert_array_equal(masks, np.asarray(labels)[:, None] == np.arange(4)[:, None, None])


@kinds
@pytest.mark.parametrize("name", ["mask_pyramid", "mertens_masked"])
def test_hard_masks_without_a_pyramid_are_the_local_image(kind, name):
    photos, labels, evs = random_plan(kind)
    result = FUSIONS[name](photos, labels, evs, levels=0, feather=0)
    np.testing.assert_allclose(result, FUSIONS["local"](photos, labels, evs), atol=1e-6)


@pytest.mark.parametrize("name", ["mertens", "mask_pyramid", "mertens_masked"])
def test_levels_beyond_those_that_the_shorter_side_allows_change_nothing(name):
    photos, labels, evs = random_plan(shape=(64, 17))
    one, three, four, nine = (FUSIONS[name](photos, labels, evs, levels=levels) for levels in (1, 3, 4, 9))
    np.testing.assert_array_equal(nine, four)
    assert abs(four - three).max() > 1e-3 and abs(three - one).max() > 1e-3


@kinds
@pytest.mark.parametrize("include_input", [True, False])
def test_without_exposedness_and_clipping_mertens_collapses_to_one_gain(kind, include_input):
    photos, labels, evs = random_plan(kind, shape=(32, 29), dtype=np.float64)
    photos = photos[:, 16:]  # textured all over
    gains = 2.0 ** np.asarray(evs)
    gains = np.concatenate([np.ones((2, 1)), gains], axis=1) if include_input else gains
    result = mertens(photos, labels[:, 16:], evs, space="encoded", exposedness=0, epsilon=1e-15,
                     include_input=include_input, clip_input=False, clip_output=False)  # fmt: skip
    gain = (gains**3).sum(1) / (gains**2).sum(1)
    np.testing.assert_allclose(result, np.asarray(photos) * gain[:, None, None, None], atol=1e-6)


@kinds
@pytest.mark.parametrize("include_input", [True, False])
def test_count_lets_only_the_first_exposures_into_mertens(kind, include_input):
    rendering = partial(mertens, include_input=include_input)
    photos, labels, evs = random_plan(kind, num=4, segments=4)
    result = rendering(photos, labels, evs, kind(np.array([2, 0, 4, 1])))
    np.testing.assert_allclose(result[1], photos[1], atol=1e-6)  # nothing yet: the photo
    for index, count in ((0, 2), (2, 4), (3, 1)):
        one = slice(index, index + 1)
        alone = rendering(photos[one], labels[one], evs[one, :count])
        np.testing.assert_allclose(result[one], alone, atol=1e-6)
        assert abs(result[one] - photos[one]).max() > 0.05


@renderings
@kinds
def test_a_photo_is_rendered_alone_as_in_a_batch_with_room_for_more_segments(name, kind):
    photos, _, evs = random_plan(num=2, segments=8)
    labels = np.stack([random_plan(num=1, segments=segments)[1][0] for segments in (3, 8)])
    evs[0, 3:] = 0
    count = np.array([3, 8])
    result = RENDERINGS[name](*map(kind, (photos, labels, evs, count)))
    for one, segments in ((slice(0, 1), 3), (slice(1, 2), 8)):
        alone = RENDERINGS[name](*map(kind, (photos[one], labels[one], evs[one, :segments])))
        np.testing.assert_allclose(result[one], alone, atol=1e-6)


def test_a_rendering_is_resolved_by_name_or_given_and_unknown_names_are_errors():
    def own(photos, labels, evs, count=None, **options):
        return photos

    assert resolve_fusion("mask_pyramid") is FUSIONS["mask_pyramid"] and resolve_fusion(own) is own
    with pytest.raises(ValueError, match="'average'.*|.*mask_pyramid"):
        resolve_fusion("average")
