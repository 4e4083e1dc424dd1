"""Bars of exposures, and text."""

import numpy as np
import pytest

from exposure_env.drawing import BRIGHTER, DARKER, INK, draw_evs, highlighted, outlined, sheet, write

TOP, HALF = 20, 60  # of the bars below; the line of EV 0 is between two halves


def bars(evs, done=None, current=None, max_ev=3.0, width=400):
    canvas = sheet(2 * TOP + 2 * HALF, width)
    evs = np.array(evs)
    draw_evs(canvas, evs, len(evs) if done is None else done, current, max_ev, (TOP, 0, 2 * HALF, width))
    return canvas


def heights(canvas, colour):
    """The heights of the bars of a colour [px], from left to right."""
    counts = (canvas == colour).all(axis=-1).sum(axis=0)
    starts = np.flatnonzero((counts > 0) & (np.append(0, counts[:-1]) == 0))
    return counts[starts].tolist()


def test_a_bar_is_as_high_as_its_exposure():
    canvas = bars([3.0, 1.5, -3.0, -0.75, 0.0])
    assert heights(canvas, BRIGHTER) == [HALF, HALF / 2]
    assert heights(canvas, DARKER) == [HALF, HALF / 4]
    assert heights(bars([1.5, 9.0], max_ev=1.5), BRIGHTER) == [HALF, HALF]  # no higher than there is room


def test_bars_of_brighter_exposures_go_up_and_of_darker_ones_down():
    canvas, zero = bars([2.0, -2.0]), TOP + HALF
    for colour, lower, upper in ((BRIGHTER, zero - 40, zero), (DARKER, zero + 1, zero + 41)):
        rows = np.flatnonzero((canvas == colour).all(axis=-1).any(axis=1))
        assert (rows[0], rows[-1] + 1) == (lower, upper)


def test_exposures_still_to_come_have_no_bar():
    assert heights(bars([3.0, 3.0, 3.0], done=1), BRIGHTER) == [HALF]
    assert heights(bars([3.0, 3.0, 3.0], done=0), BRIGHTER) == []


def test_the_current_exposure_is_framed():
    framed = np.flatnonzero((bars([0.0] * 4, current=2) != bars([0.0] * 4)).any(axis=(0, 2)))
    assert 44 + 2 * 72 - 3 <= framed[0] <= 44 + 2 * 72 and 44 + 3 * 72 - 6 <= framed[-1] <= 44 + 3 * 72


@pytest.mark.parametrize("count", [1, 8, 40, 400, 4096])
def test_any_number_of_bars_fits(count):
    canvas = sheet(2 * TOP + 2 * HALF, 400)
    draw_evs(canvas, np.full(count, 3.0), count, count - 1, 3.0, (TOP, 0, 2 * HALF, 300))
    assert (canvas[:, 302:] == sheet(1, 1)).all()
    assert (canvas == BRIGHTER).all(axis=-1).sum() > HALF  # not all covered by frames and spaces


def test_exposures_are_written_beside_their_bars_where_there_is_room():
    def dark(canvas):
        return (canvas[TOP + HALF + 4 : -TOP - 2, 44:] < 100).all(axis=-1).any()

    assert dark(bars([1.0] * 3)) and not dark(bars([1.0] * 30))


def test_text_that_is_too_long_becomes_smaller_and_is_cut_off():
    canvas = sheet(40, 300)
    write(canvas, "M" * 80, 50, 25, 100, INK)
    columns = np.flatnonzero((canvas < 200).any(axis=(0, 2)))
    assert 50 <= columns[0] < 55 and 140 < columns[-1] < 150


def test_the_outlines_of_all_segments_leave_their_insides_as_they_are():
    picture, labels = np.full((60, 60, 3), 90, np.uint8), np.repeat([0, 1], 10)[None].repeat(20, axis=0)
    shown = outlined(picture, labels)
    assert (shown[4:-4, 4:26] == 90).all() and (shown[4:-4, 34:-4] == 90).all()
    assert (shown[10:-10, 28:32] != 90).any(axis=(1, 2)).all()


def test_a_mask_of_another_size_is_enlarged():
    picture = np.full((90, 120, 3), 255, np.uint8)
    shown = highlighted(picture, np.arange(8)[None].repeat(6, axis=0) < 4)
    assert (shown[4:-4, 4:55] == 255).all() and (shown[4:-4, 65:-4] < 200).all()
