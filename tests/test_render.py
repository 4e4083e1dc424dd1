"""Storyboards and comparisons."""

import numpy as np
import pytest

from exposure_env.episode import advance, local_image, start
from exposure_env.render import GAP, MARGIN, comparison, signed, storyboard, storyboard_panel

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


def test_the_size_never_changes():
    state, shapes = episode(), set()
    shapes.add(drawn(state).shape)
    for reward in (None, 0.0, -1.2345e-9, 12345.6):
        state = advance(state, np.array([-2.0], np.float32))
        shapes.add(drawn(state, -2.0, reward).shape)
    wide = start(np.zeros((1, 20, 50, 3), np.float32), np.zeros((1, 20, 50), np.int32), 1)
    shapes.add(drawn(wide).shape)
    assert len(shapes) == 1


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_the_outline_shows_on_any_photo(level):
    canvas = drawn(advance(episode(level=level), np.array([0.0], np.float32)), 0.0, 0.0)
    outlined = picture(canvas, 1).astype(int)
    column = outlined[16, 26:38].mean(axis=-1)  # across the border between segments 0 and 1
    assert column.max() - column.min() > 150
    away = np.ones((SIZE, SIZE), bool)
    away[:4], away[-4:], away[:, :4], away[:, 28:36], away[28:36] = False, False, False, False, False
    assert (outlined[away] == round(255 * level)).all()


def test_the_outlined_segment_is_the_one_just_exposed():
    state = episode(level=0.5)
    plain = as_pixels(state.photos[0])
    line = {0: np.s_[48, 28:36], 1: np.s_[28:36, 48], 2: np.s_[48, 28:36]}  # across its border, where others have none
    other = {0: np.s_[28:36, 48], 1: np.s_[48, 28:36], 2: np.s_[16, 28:36]}
    first = picture(drawn(state), 1)  # before any exposure: the next one
    assert changed(plain, first)[line[0]].any() and not changed(plain, first)[other[0]].any()
    for index in range(3):
        state = advance(state, np.array([0.0], np.float32))
        mask = changed(plain, picture(drawn(state, 0.0, 0.0), 1))
        assert mask[line[index]].any() and not mask[other[index]].any()


def test_the_numbers_are_written_under_their_pictures():
    state = advance(episode(), np.array([1.0], np.float32))
    bare, full = drawn(state), drawn(state, 1.0, 0.25)
    where = np.argwhere(changed(bare, full))
    where = where[where[:, 0] > BOTTOM + 16]  # the second line of text
    columns = (where[:, 1] - MARGIN) // (SIZE + GAP)
    assert set(columns) == {1, 3}
    assert changed(full, drawn(state, -1.0, 0.25))[BOTTOM:].any()
    assert changed(full, drawn(state, 1.0, -0.25))[BOTTOM:].any()


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
