"""The plan as a file, and the plan at full size."""

import json
import tracemalloc

import cv2
import numpy as np
import pytest
import skimage.data

from exposure_env import kernels
from exposure_env.fusion import FUSIONS
from exposure_env.image import clip, expose, luminance
from exposure_env.photos import content_box, thumbnail
from exposure_env.retouch import RetouchPlan, apply_plan
from exposure_env.retouch.plan import FORMAT
from exposure_env.segmentation import segment

ALL = sorted(FUSIONS)
BLENDS = [name for name in ALL if name != "local"]
LEFT_RIGHT = np.repeat([[0, 0, 1, 1]], 4, axis=0)
TYPES = [np.uint8, np.uint16]


def as_floats(pixels):
    return (pixels / np.iinfo(pixels.dtype).max).astype(np.float32)


def noise(height, width, dtype=np.uint8, seed=0):
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, (height, width, 3), dtype, endpoint=True)


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


# ---- the plan --------------------------------------------------------------------------------------------------------


def test_a_plan_survives_json_and_files(tmp_path):
    options = {"levels": 2, "clip_input": False, "epsilon": 1e-5}
    plan = RetouchPlan(LEFT_RIGHT, [0.1, -1 / 3], "mertens_masked", options, "encoded", "letterbox")
    plan.save(tmp_path / "plan.json")
    for again in (RetouchPlan.from_json(plan.to_json()), RetouchPlan.load(tmp_path / "plan.json")):
        assert again.to_json() == plan.to_json()
        np.testing.assert_array_equal(again.labels, LEFT_RIGHT)
        assert again.evs.tolist() == [0.1, -1 / 3]  # to the last bit
        assert (again.fusion, again.fusion_options, again.space, again.thumbnail) == (
            "mertens_masked", options, "encoded", "letterbox")  # fmt: skip
    assert json.loads(plan.to_json())["format"] == FORMAT


def test_a_plan_keeps_its_own_copies():
    labels, evs, options = LEFT_RIGHT.copy(), np.array([1.0, 2.0]), {"levels": 1}
    plan = RetouchPlan(labels, evs, "mask_pyramid", options)
    labels[:], evs[:], options["levels"] = 7, 7, 7
    assert plan.labels.max() == 1 and plan.evs.tolist() == [1, 2] and plan.fusion_options == {"levels": 1}
    with pytest.raises(ValueError, match="read-only"):
        plan.evs[0] = 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": [[0, 2], [0, 2]]}, r"labels must cover 0\.\.1.*\[0, 2\]"),
        ({"labels": [[0, 1], [2, 1]]}, r"labels must cover 0\.\.1.*2 evs.*\[0, 1, 2\]"),
        ({"labels": [[0, 0], [0, 0]]}, "labels must cover"),
        ({"labels": [[-1, 0], [1, 1]]}, "labels must cover"),
        ({"labels": [[0, 1], [2**32, 2**32 + 1]]}, "labels must cover"),
        ({"labels": [[0, 1], [1]]}, "labels must be rows of integers"),
        ({"labels": [0, 1]}, "labels must be rows of integers"),
        ({"labels": [[0.0, 1.0]]}, "labels must be rows of integers"),
        ({"labels": []}, "labels must be rows of integers"),
        ({"labels": np.zeros((0, 4), int)}, "labels must be rows of integers"),
        ({"evs": [0.0, np.nan]}, "evs must be finite.*nan"),
        ({"evs": [0.0, np.inf]}, "evs must be finite.*inf"),
        ({"evs": [0.0, 1000.0]}, "evs must be .* within 32 stops.*1000"),
        ({"evs": [0.0]}, r"labels must cover 0\.\.0, as there are 1 evs"),
        ({"evs": ["0", "1"]}, "evs must be a list of numbers"),
        ({"evs": 1.0}, "evs must be a list of numbers"),
        ({"evs": []}, "evs must be a list of numbers"),
        ({"fusion": "median"}, "fusion must be one of .*'median'"),
        ({"fusion": ["local"]}, "fusion must be one of"),
        ({"space": "log"}, "space must be one of .*'log'"),
        ({"thumbnail": "crop"}, "thumbnail must be one of .*'crop'"),
        ({"fusion_options": {"levels": 2}}, "fusion_options of 'local' .*'levels'"),
        ({"fusion_options": [3]}, "fusion_options must be a dict"),
        ({"fusion": "mask_pyramid", "fusion_options": {"levels": 2.5}}, "levels must be like .*2.5"),
        ({"fusion": "mask_pyramid", "fusion_options": {"levels": -1}}, "levels must be like .*-1"),
        ({"fusion": "mask_pyramid", "fusion_options": {"levels": None}}, "levels must be like .*None"),
        ({"fusion": "mertens", "fusion_options": {"contrast": "1"}}, "contrast must be like .*'1'"),
        ({"fusion": "mertens", "fusion_options": {"epsilon": np.nan}}, "epsilon must be like .*nan"),
        ({"fusion": "mertens", "fusion_options": {"include_input": 1}}, "include_input must be like .*1"),
        ({"labels": np.repeat(LEFT_RIGHT, 2, axis=0), "thumbnail": "letterbox"}, r"square, not \(8, 4\)"),
    ],
)
def test_a_malformed_plan_names_what_is_wrong(fields, message):
    with pytest.raises(ValueError, match=message):
        RetouchPlan(**({"labels": LEFT_RIGHT, "evs": [0.0, 1.0]} | fields))


def test_foreign_json_names_what_is_wrong(tmp_path):
    content = json.loads(RetouchPlan(LEFT_RIGHT, [0, 1]).to_json())
    without = {name: value for name, value in content.items() if name != "evs"}
    for text, message in [
        ("{", "not JSON"),
        ("[1]", "a JSON object, not list"),
        (json.dumps(content | {"format": "exposure retouch plan, version 2"}), "format must be .*version 2"),
        ("{}", "format must be .*None"),
        (json.dumps(without), "fields must be"),
        (json.dumps(content | {"colour": 1}), "fields must be .*'colour'"),
        (json.dumps(content | {"evs": [0, float("nan")]}), "evs must be finite"),
        (json.dumps(content).replace("[0, 0, 1, 1]", "[0, 0, 1, 5]"), "labels must cover"),
    ]:
        with pytest.raises(ValueError, match=message):
            RetouchPlan.from_json(text)
    (tmp_path / "photo.json").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match="photo.json"):
        RetouchPlan.load(tmp_path / "photo.json")


@pytest.mark.parametrize("fusion", ALL)
def test_render_is_the_definition(fusion):
    small = as_floats(noise(4, 4))
    plan = RetouchPlan(LEFT_RIGHT, [1, -1], fusion, {"clip_output": False}, "encoded")
    evs = np.array([[1, -1]], np.float32)
    expected = FUSIONS[fusion](small[None], LEFT_RIGHT[None], evs, space="encoded", clip_output=False)[0]
    np.testing.assert_array_equal(plan.render(small), expected)
    assert plan.render(small).dtype == np.float32
    with pytest.raises(ValueError, match=r"\(4, 4, 3\), not \(5, 4, 3\)"):
        plan.render(np.zeros((5, 4, 3), np.float32))


# ---- full size -------------------------------------------------------------------------------------------------------


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


def test_borders_go_where_the_photo_has_them():
    pixels = np.full((400, 400, 3), 60, np.uint8)
    pixels[:, 190:] = 120  # the thumbnail of 20 x 20 can only say: at 180 or 200
    labels = np.repeat([[0] * 9 + [1] * 11], 20, axis=0)
    plan = RetouchPlan(labels, [1, 0], space="encoded")  # lifts the left to the level of the right
    found = np.abs(apply_plan(plan, pixels)[200, :, 0].astype(int) - 120)
    assert found.max() <= 16 and found[:140].max() == 0 and found[190:].max() <= 1
    careless = np.abs(apply_plan(plan, pixels, feather=0)[200, :, 0].astype(int) - 120)
    assert careless[180:190].min() >= 30  # a dark stripe between the two borders


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


def peaks(fusion):
    """Bytes a pixel that a retouch takes, with 2 and with 8 segments; a single exposure of floats is 12."""
    pixels = cv2.resize(noise(30, 40), (1600, 1200), interpolation=cv2.INTER_CUBIC)
    for count in (2, 8):
        plan = RetouchPlan(np.arange(count)[None].repeat(count, axis=0), np.linspace(-1, 1, count), fusion)
        apply_plan(plan, pixels[:40])  # a compiler, where there is one, needs memory too
        tracemalloc.start()
        apply_plan(plan, pixels)
        yield tracemalloc.get_traced_memory()[1] / (1600 * 1200)
        tracemalloc.stop()


@pytest.mark.parametrize("fusion", ALL)
def test_memory_of_the_definition_does_not_grow_with_the_number_of_segments(fusion):
    with kernels.disabled():
        few, many = peaks(fusion)
    assert many < 70 and many < 1.25 * few


@pytest.mark.skipif(not kernels.enabled(), reason="without numba the definition is used")
@pytest.mark.parametrize("fusion", ALL)
def test_memory_of_the_fast_path_is_less_than_three_exposures_of_floats(fusion):
    assert max(peaks(fusion)) < 36  # a third of it here, where the photo is small, what threads work on


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("fusion", ALL)
def test_the_photo_s_own_memory_may_take_the_result(fusion, dtype):
    pixels = noise(90, 120, dtype)
    plan = RetouchPlan(LEFT_RIGHT, [-1.0, 1.0], fusion)
    expected = apply_plan(plan, pixels.copy())
    for given in (pixels.copy(), np.asfortranarray(pixels), np.flip(np.flip(pixels, 1).copy(), 1)):
        np.testing.assert_array_equal(apply_plan(plan, given, reuse=True), expected)
    fixed = pixels.copy()
    fixed.setflags(write=False)
    np.testing.assert_array_equal(apply_plan(plan, fixed, reuse=True), expected)
    np.testing.assert_array_equal(fixed, pixels)


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
