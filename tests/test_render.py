"""Storyboards and comparisons."""

import numpy as np
import pytest

from exposure_env.drawing import FADED, GAP, HAZE, MARGIN, signed
from exposure_env.episode import advance, local_image, start
from exposure_env.render import comparison, storyboard, storyboard_panel

SIZE = 64  # of photo and panel alike, so that pictures are copied pixel by pixel
BOTTOM = MARGIN + SIZE


def episode(seed=0, level=None):
    rng = np.random.default_rng(seed)
    photo = rng.random((1, SIZE, SIZE, 3), dtype=np.float32)
    photo = photo if level is None else np.full_like(photo, level)
    labels = np.zeros((1, SIZE, SIZE), np.int32)
    labels[:, :, 32:] = 1
    labels[:, 32:, 32:] = 2
    return start(photo, labels, 5)


def picture(canvas, index):
    left = MARGIN + index * (SIZE + GAP)
    return canvas[MARGIN:BOTTOM, left : left + SIZE]


def as_pixels(image):
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def drawn(state, ev=None, reward=None, **options):
    return storyboard_panel(state, state.photos[0], ev, reward, panel=SIZE, **options)


def changed(before, after):
    return np.abs(before.astype(int) - after).max(axis=-1) > 40


@pytest.mark.parametrize("space", ["linear", "encoded"])
def test_four_pictures_side_by_side(space):
    state = advance(episode(), np.array([1.0], np.float32))
    fused = np.random.default_rng(9).random((SIZE, SIZE, 3))
    canvas = storyboard_panel(state, fused, 1.0, 0.5, panel=SIZE, space=space)
    assert canvas.dtype == np.uint8 and canvas.shape[1:] == (2 * MARGIN + 4 * SIZE + 3 * GAP, 3)
    np.testing.assert_array_equal(picture(canvas, 0), as_pixels(state.photos[0]))
    np.testing.assert_array_equal(picture(canvas, 2), as_pixels(local_image(state, space)[0]))
    np.testing.assert_array_equal(picture(canvas, 3), as_pixels(fused))


def test_a_target_is_a_fifth_picture():
    plain = episode()
    paired = plain._replace(targets=np.random.default_rng(5).random((1, SIZE, SIZE, 3)))
    canvas = drawn(paired)
    assert canvas.shape[1] == drawn(plain).shape[1] + SIZE + GAP
    np.testing.assert_array_equal(picture(canvas, 4), as_pixels(paired.targets[0]))
    np.testing.assert_array_equal(drawn(paired, target=False), drawn(plain))
    free = drawn(plain, target=True)  # room for one, where the others have one
    assert free.shape == canvas.shape and (picture(free, 4) == free[0, 0]).all()


@pytest.mark.parametrize("target", [False, True])
def test_the_size_never_changes(target):
    state, shapes = episode(), set()
    shapes.add(drawn(state, target=target).shape)
    for reward in (None, 0.0, -1.2345e-9, 12345.6):
        state = advance(state, np.array([-2.0], np.float32))
        shapes.add(drawn(state, -2.0, reward, score=reward, input_score=reward, target=target).shape)
    shapes.add(drawn(state, target=target).shape)
    shapes.add(drawn(state._replace(targets=state.photos), target=target).shape)
    wide = start(np.zeros((1, 20, 50, 3), np.float32), np.zeros((1, 20, 50), np.int32), 1)
    shapes.add(drawn(wide, target=target).shape)
    assert len(shapes) == 1


def test_what_is_not_the_segment_is_faded_to_grey_and_the_segment_is_left_as_it_is():
    state = episode()
    state.photos[:] = [0.2, 0.6, 1.0]
    shown = picture(drawn(advance(state, np.array([1.0], np.float32)), 1.0, 0.0), 1)
    grey = 0.299 * 51 + 0.587 * 153 + 0.114 * 255  # of the bytes of that colour
    faded = round(grey + FADED * (HAZE - grey))
    assert (shown[2:-2, 2:28] == [51, 153, 255]).all() and (shown[2:-2, 36:-2] == faded).all()


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_the_segment_stands_out_from_any_photo(level):
    shown = picture(drawn(advance(episode(level=level), np.array([0.0], np.float32)), 0.0, 0.0), 1).astype(int)
    border = shown[16, 28:36].mean(axis=-1)  # across the border between segments 0 and 1
    assert border.max() - border.min() > 80
    if level != 0.5:
        assert abs(shown[16, 10] - shown[16, 50]).min() > 60


def test_the_segment_shown_is_the_one_just_exposed():
    state = episode(level=1.0)
    places = [np.s_[32, 16], np.s_[16, 48], np.s_[48, 48]]  # inside each of the three

    def bright(panel):
        shown = picture(panel, 1)
        return [index for index, place in enumerate(places) if (shown[place] == 255).all()]

    assert bright(drawn(state)) == [0]  # before any exposure: the next one
    for index in range(3):
        state = advance(state, np.array([0.0], np.float32))
        assert bright(drawn(state, 0.0, 0.0)) == [index]
    assert bright(drawn(state)) == [0, 1, 2]  # the result alone: no segment is faded, all are outlined
    lines = changed(as_pixels(state.photos[0]), picture(drawn(state), 1))
    assert lines[16, 28:36].any() and lines[28:36, 48].any()


def test_the_numbers_are_written_under_their_pictures():
    state = advance(episode(), np.array([1.0], np.float32))
    first = drawn(state, 1.0, 0.25, score=15.5, input_score=12.25)

    def columns(other):
        where = np.argwhere(changed(first, other)[BOTTOM + 16 :])
        return set((where[:, 1] - MARGIN) // (SIZE + GAP))

    assert columns(drawn(state, 1.0, 0.25, score=15.5)) == {0}
    assert columns(drawn(state, -1.0, 0.25, score=15.5, input_score=12.25)) == {1}
    assert columns(drawn(state, 1.0, 0.25, score=15.5, input_score=12.25, max_ev=2.0)) == {2}
    assert columns(drawn(state, 1.0, 0.25, input_score=12.25)) == {3}
    assert columns(drawn(state, 1.0, -0.25, score=15.5, input_score=12.25)) == {3}


@pytest.mark.parametrize(
    ("ev", "text"), [(1.26, "+1.3"), (-0.75, "-0.8"), (0, "+0.0"), (-0.01, "+0.0"), (np.float32(3), "+3.0")]
)
def test_an_exposure_has_a_sign(ev, text):
    assert signed(ev) == text


def test_a_storyboard_stacks_its_panels():
    panels = [drawn(episode(seed)) for seed in range(3)]
    rows = len(panels[0])
    tall = storyboard(panels)
    assert tall.shape == (3 * rows, *panels[0].shape[1:])
    np.testing.assert_array_equal(tall[rows : 2 * rows], panels[1])
    with pytest.raises(ValueError, match="at least one, not 0"):
        storyboard([])
    with pytest.raises(ValueError, match="one size"):
        storyboard([panels[0], panels[0][1:]])


def test_a_comparison_has_one_height_and_the_width_asked_for():
    images = [np.full((30, 40, 3), 10, np.uint8), np.full((600, 400, 3), 65535 // 2, np.uint16), np.ones((9, 9, 3))]
    canvas = comparison(images, ["before", "after", "x" * 200], width=500)
    assert canvas.shape[1] == 500 and canvas.dtype == np.uint8
    row = canvas[MARGIN + 5]
    room = 500 - 2 * MARGIN - 2 * GAP
    ratios = np.array([4 / 3, 2 / 3, 1])
    for value, width in zip((10, 127, 255), room * ratios / ratios.sum(), strict=True):
        assert abs((row == value).all(axis=-1).sum() - width) <= 1
    assert (canvas[MARGIN + 5, MARGIN] == 10).all() and (canvas[MARGIN + 5, -MARGIN - 1] == 255).all()


def test_a_comparison_shows_the_photo():
    photo = np.random.default_rng(0).integers(0, 256, (80, 168, 3), np.uint8)
    canvas = comparison([photo], ["photo"], width=168 + 2 * MARGIN)
    np.testing.assert_array_equal(canvas[MARGIN : MARGIN + 80, MARGIN:-MARGIN], photo)
    assert (canvas[MARGIN + 80 :].min(axis=-1) < 160).any()  # the caption


@pytest.mark.parametrize(
    ("images", "captions", "width", "message"),
    [
        ([], [], 500, "one or more"),
        ([np.zeros((4, 4, 3))], [], 500, "not 1 with 0"),
        ([np.zeros((4, 4))], ["grey"], 500, r"'grey' must be .*\(4, 4\)"),
        ([np.zeros((0, 4, 3))], ["none"], 500, "'none' must be .*not empty"),
        ([np.zeros((4, 4, 3))] * 2, ["a", "b"], 100, "width must leave 64 .*not 100"),
    ],
)
def test_a_malformed_comparison_is_named(images, captions, width, message):
    with pytest.raises(ValueError, match=message):
        comparison(images, captions, width=width)


def test_a_malformed_panel_is_named():
    state = episode()
    photo = state.photos[0]
    two = start(np.concatenate([state.photos] * 2), np.concatenate([state.labels] * 2), 5)
    with pytest.raises(ValueError, match="one episode, not 2"):
        storyboard_panel(two, photo, None, None)
    with pytest.raises(ValueError, match="fused must be"):
        storyboard_panel(state, photo[:9], None, None)
    with pytest.raises(ValueError, match="panel must be .*not 8"):
        storyboard_panel(state, photo, None, None, panel=8)
