import cv2
import numpy as np
import pytest
import skimage.data

from exposure_env.image import clip, expose, luminance
from exposure_env.photos import content_box, thumbnail
from exposure_env.retouch import RetouchPlan, apply_plan
from exposure_env.segmentation import segment
from tests.retouch.small import ALL, LEFT_RIGHT, TYPES, as_floats, noise

BLENDS = [name for name in ALL if name != "local"]


def made_plan(pixels, seed, fit="squeeze", realistic=False, **fields):
    """A plan from segments of the photo; EVs within 1.5 stops, random or such that they even out the brightness."""
    small = clip(thumbnail(as_floats(pixels), 64, fit))
    labels = segment(small)
    count = labels.max() + 1
    evs = np.random.default_rng(seed).uniform(-1.5, 1.5, count)
    if realistic:
        means = np.array([luminance(small)[labels == k].mean() for k in range(count)])
        evs = np.clip(np.log2(0.45 / np.maximum(means, 0.03)), -1.5, 1.5)
    return RetouchPlan(labels, evs, thumbnail=fit, **fields), small


def deviation(pixels, plan, small):
    """Mean absolute difference, in levels of 255, of the full-size result seen through the thumbnail."""
    top, left, height, width = content_box(*pixels.shape[:2], len(small), plan.thumbnail)
    seen = thumbnail(as_floats(apply_plan(plan, pixels)), len(small), plan.thumbnail)
    return 255 * np.abs(seen - plan.render(small))[top : top + height, left : left + width].mean()


@pytest.fixture(scope="module")
def whole_photos():
    return [getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")]


@pytest.mark.parametrize("fit", ["squeeze", "letterbox"])
@pytest.mark.parametrize("fusion", ALL)
def test_the_thumbnail_of_the_result_is_the_result_of_the_thumbnail(fusion, fit, whole_photos):
    for realistic in (False, True):
        found = []
        for seed, pixels in enumerate(whole_photos):
            plan, small = made_plan(pixels, seed, fit, realistic, fusion=fusion)
            found.append(deviation(pixels, plan, small))
        assert np.mean(found) < 2, found
        assert np.max(found) < 4, found


@pytest.mark.parametrize("fusion", ALL)
def test_on_photographs_of_many_kinds(fusion, real_folder):
    files = sorted(p for p in real_folder.rglob("*") if p.suffix.lower() in {".png", ".jpg"})
    found = []
    for seed, index in enumerate(np.linspace(0, len(files) - 1, 12).astype(int)):
        pixels = np.ascontiguousarray(cv2.imread(str(files[index]))[..., ::-1])
        plan, small = made_plan(pixels, seed, realistic=True, fusion=fusion)
        found.append(deviation(pixels, plan, small))
    assert np.mean(found) < (1.5 if fusion == "local" else 1), found
    assert np.max(found) < 3, found


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("fusion", ALL)
def test_no_exposure_returns_the_pixels_exactly(fusion, dtype):
    pixels = noise(70, 90, dtype)
    result = apply_plan(RetouchPlan(LEFT_RIGHT, [0, 0], fusion), pixels)
    np.testing.assert_array_equal(result, pixels)
    assert result.dtype == dtype and not np.shares_memory(result, pixels)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("fusion", ALL)
def test_next_to_no_exposure_returns_nearly_the_pixels(fusion, dtype):
    pixels = noise(70, 90, dtype)
    result = apply_plan(RetouchPlan(LEFT_RIGHT, [1e-7, -1e-7], fusion), pixels)
    assert np.abs(result.astype(int) - pixels).max() <= (0 if dtype == np.uint8 else 1)


@pytest.mark.parametrize("space", ["linear", "encoded"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("fusion", ALL)
def test_one_exposure_everywhere_is_a_global_exposure(fusion, dtype, space):
    pixels = noise(70, 90, dtype)
    expected = np.rint(clip(expose(as_floats(pixels), 0.7, space)) * np.iinfo(dtype).max)
    options = {"include_input": False} if "mertens" in fusion else {}
    for labels, evs in ((np.zeros((4, 4), int), [0.7]), (LEFT_RIGHT, [0.7, 0.7])):
        result = apply_plan(RetouchPlan(labels, evs, fusion, options, space), pixels)
        assert np.abs(result - expected).max() <= (1 if dtype == np.uint8 else 2)


def test_values_worked_out_by_hand():
    pixels = np.full((40, 160, 3), 60, np.uint8)
    plan = RetouchPlan(LEFT_RIGHT.repeat(4, axis=1), [1, -1], space="encoded")
    result = apply_plan(plan, pixels).astype(int)
    assert (result[:, :40] == 120).all() and (result[:, -40:] == 30).all()  # a factor of 2 and of 1/2
    assert (np.diff(result, axis=1) <= 0).all()  # one transition, soft where the photo shows no edge
    assert np.diff(result, axis=1).min() > -15
    hard = apply_plan(plan, pixels, feather=0)
    assert (hard[:, :75] == 120).all() and (hard[:, -75:] == 30).all()
    bright = apply_plan(RetouchPlan(LEFT_RIGHT, [8, 8]), pixels)
    assert (bright == 255).all()


@pytest.mark.parametrize("fusion", BLENDS)
def test_a_photo_of_the_thumbnails_size_gets_the_definition(fusion, whole_photos):
    small = np.rint(255 * thumbnail(whole_photos[1])).astype(np.uint8)
    plan, as_seen = made_plan(small, 0, fusion=fusion)
    result = apply_plan(plan, small)
    assert np.abs(result - 255 * plan.render(as_seen)).max() <= 0.51


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (2, 3), (7, 5), (63, 65), (129, 64)])
@pytest.mark.parametrize("fit", ["squeeze", "letterbox"])
@pytest.mark.parametrize("fusion", ALL)
def test_any_size_and_constant_photos(fusion, fit, shape):
    rng = np.random.default_rng(1)
    labels = np.repeat(np.repeat(rng.permutation(16).reshape(4, 4), 4, axis=0), 4, axis=1)
    plan = RetouchPlan(labels, rng.uniform(-2, 2, 16), fusion, thumbnail=fit)
    options = {"include_input": False} if "mertens" in fusion else {}
    same = RetouchPlan(labels, np.full(16, 1.0), fusion, options, "encoded", fit)
    for dtype in TYPES:
        black = np.zeros((*shape, 3), dtype)
        np.testing.assert_array_equal(apply_plan(plan, black), black)
        np.testing.assert_array_equal(apply_plan(same, np.full_like(black, 51)), 102)
        pixels = noise(*shape, dtype)
        result = apply_plan(plan, pixels)
        assert result.shape == pixels.shape and result.dtype == dtype
        again = apply_plan(same, pixels).astype(int)
        assert np.abs(again - np.minimum(2 * pixels.astype(int), np.iinfo(dtype).max)).max() <= 2


def test_letterbox_takes_the_labels_from_within_the_box():
    top, _, height, _ = content_box(100, 400, 16, "letterbox")
    labels = np.zeros((16, 16), int)  # 0: the margins, which are not part of the photo
    labels[top : top + height] = [1] * 8 + [2] * 8
    pixels = np.full((100, 400, 3), 60, np.uint8)
    result = apply_plan(RetouchPlan(labels, [3, 1, -1], space="encoded", thumbnail="letterbox"), pixels)
    assert (result[:, :120] == 120).all() and (result[:, -120:] == 30).all()


@pytest.mark.parametrize("fusion", ALL)
def test_both_depths_give_one_picture(fusion, whole_photos):
    pixels = whole_photos[1]
    plan, _ = made_plan(pixels, 3, fusion=fusion)
    deep = apply_plan(plan, pixels.astype(np.uint16) * 257)
    assert np.abs(deep / 257 - apply_plan(plan, pixels)).max() < 0.6


def test_pixels_may_be_a_view_and_are_left_alone(whole_photos):
    pixels = whole_photos[2]
    plan, _ = made_plan(pixels, 3, fusion="mask_pyramid")
    view = np.asfortranarray(pixels)
    view.setflags(write=False)
    np.testing.assert_array_equal(apply_plan(plan, view), apply_plan(plan, pixels))


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), {}, "uint8 or uint16, not float32"),
        (np.zeros((4, 4, 3), np.int16), {}, "uint8 or uint16, not int16"),
        (np.zeros((4, 4, 3), bool), {}, "uint8 or uint16, not bool"),
        (np.zeros((4, 4), np.uint8), {}, r"\(height, width, 3\).*\(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), {}, r"\(height, width, 3\).*\(4, 4, 4\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), {}, r"\(height, width, 3\).*\(1, 4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), {}, r"not empty.*\(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), {"feather": -1}, "feather must be .*-1"),
        (np.zeros((4, 4, 3), np.uint8), {"feather": np.nan}, "feather must be .*nan"),
    ],
)
def test_malformed_pixels_are_named(pixels, options, message):
    with pytest.raises(ValueError, match=message):
        apply_plan(RetouchPlan(LEFT_RIGHT, [0, 1]), pixels, **options)


def test_a_photo_larger_than_the_memory_is_refused_before_any_work(monkeypatch):
    plan = RetouchPlan(np.zeros((4, 4), int), [1.0])
    pixels = np.full((30, 20, 3), 100, np.uint8)
    assert apply_plan(plan, pixels).mean() > 100
    monkeypatch.setattr("exposure_env.retouch.apply.BYTES_PER_PIXEL", 1e15)
    with pytest.raises(ValueError, match=r"20x30 pixels needs about 600000000.0 GB"):
        apply_plan(plan, pixels)
