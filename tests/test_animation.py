"""Animations of episodes and trainings: their frames, and their files."""

import subprocess
import sys

import numpy as np
import pytest
import skimage.data
from PIL import Image

from agents import animation
from agents.animation import COMPARED, FIRST, LAST, SIDE, STEPS, Frame, episode_frames, training_frames
from agents.pictures import write_animation
from agents.saved_agent import load_agent
from exposure_env.drawing import BRIGHTER, MARGIN
from exposure_env.image import expose
from exposure_env.photos import Photo
from exposure_env.retouch import RetouchPlan, apply_plan

GOOD = skimage.data.coffee()
DARK = np.rint(np.clip(expose(GOOD / np.float32(255), -1.0), 0, 1) * 255).astype(np.uint8)
PHOTO, PAIRED = Photo("coffee", DARK), Photo("coffee", DARK, GOOD)
TINY = [Frame(np.full((16, 20, 3), level, np.uint8), seconds) for level, seconds in ((0, 0.5), (128, 0.253), (255, 1))]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def agent():
    return load_agent()


@pytest.fixture(scope="module")
def frames(agent):
    return episode_frames(agent, PAIRED)


def right(frame):
    """The retouch in a frame of the photo, which is wider than high."""
    height, width = round(SIDE * GOOD.shape[0] / GOOD.shape[1]), SIDE
    return frame.picture[MARGIN : MARGIN + height, -MARGIN - width : -MARGIN]


def test_each_segment_is_shown_and_then_its_exposure(agent, frames):
    count = len(agent.plan(DARK).evs)
    assert len(frames) == 1 + 2 * count + 5 and len({frame.picture.shape for frame in frames}) == 1
    assert sum(frame.seconds for frame in frames) == pytest.approx(FIRST + STEPS + 4 * COMPARED + LAST)
    assert 6 <= sum(frame.seconds for frame in frames) <= 10
    for step in range(count):
        before, shown, exposed = (right(frame) for frame in frames[2 * step : 2 * step + 3])
        np.testing.assert_array_equal(before, shown)
        assert (shown != exposed).any()


def test_as_many_bars_as_exposures_so_far(agent):
    plan = RetouchPlan(np.repeat(np.arange(4), 16).reshape(8, 8), [1.0, 2.0, 3.0, 1.0], fusion="local")

    class Bold(type(agent)):
        def plan(self, image):
            return plan

    bold = Bold(agent.policy, agent.segmenter, agent.settings)
    orange = [(frame.picture == BRIGHTER).all(axis=-1).any(axis=0).sum() for frame in episode_frames(bold, PHOTO)]
    assert [round(columns / 68) for columns in orange] == [0, 0, 1, 1, 2, 2, 3, 3, 4, *[4] * 5]  # 68 px each


def test_the_result_is_the_plan_at_the_size_that_is_shown(agent, frames):
    np.testing.assert_array_equal(right(frames[-1]), right(frames[-5]))
    photo, target = right(frames[0]), right(frames[-2])
    np.testing.assert_array_equal(right(frames[-1]), apply_plan(agent.plan(DARK), np.ascontiguousarray(photo)))
    np.testing.assert_array_equal(photo, right(frames[-4]))  # before
    assert target.mean() > photo.mean() + 20
    assert abs(right(episode_frames(agent, PHOTO)[-2]).astype(int) - photo).max() == 0  # no target: before, once more


def test_an_episode_of_hundreds_of_segments_is_shown_in_big_steps(agent, monkeypatch):
    monkeypatch.setattr(animation, "MOST", 3)
    count = len(agent.plan(DARK).evs)
    frames = episode_frames(agent, PHOTO)
    assert count > 3 and len(frames) == 1 + 2 * 3 + 5


def test_a_training_is_a_frame_for_each_agent_and_the_comparison(agent):
    shy = agent._replace(settings=agent.settings | {"max_ev": 0.5})
    frames = training_frames([("shy", shy), ("bold", agent)], PAIRED)
    assert len(frames) == 2 + 5
    before = right(frames[-4]).mean()
    assert before < right(frames[0]).mean() < right(frames[1]).mean()
    np.testing.assert_array_equal(right(frames[1]), right(frames[-1]))
    with pytest.raises(ValueError, match="one agent or more"):
        training_frames([], PHOTO)


@pytest.mark.parametrize("shape", [(300, 40, 3), (40, 300, 3), (7, 5, 3), (64, 64)])
def test_photos_of_any_shape(agent, shape):
    photo = Photo("odd", np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    frames = episode_frames(agent, photo)
    assert {side % 2 for frame in frames for side in frame.picture.shape[:2]} == {0}


def test_a_gif_has_all_frames_and_their_durations_and_loops(tmp_path):
    write_animation(tmp_path / "tiny.gif", TINY)
    with Image.open(tmp_path / "tiny.gif") as image:
        assert (image.format, image.n_frames, image.size, image.info["loop"]) == ("GIF", 3, (20, 16), 0)
        for index, (milliseconds, level) in enumerate(((500, 0), (250, 128), (1000, 255))):
            image.seek(index)
            assert image.info["duration"] == milliseconds
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - level).max() <= 8


def test_a_gif_of_an_episode_is_small_and_true_to_its_frames(frames, tmp_path):
    write_animation(tmp_path / "episode.gif", frames)
    assert (tmp_path / "episode.gif").stat().st_size < 1e6
    with Image.open(tmp_path / "episode.gif") as image:
        assert image.n_frames == len(frames)
        for index in (0, 3, len(frames) - 1):
            image.seek(index)
            shown = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(shown - frames[index].picture).mean() < 4


def test_a_video_lasts_as_long_as_its_frames(tmp_path):
    imageio = pytest.importorskip("imageio_ffmpeg", reason="moviepy writes the video: pip install '.[video]'")
    pytest.importorskip("moviepy", reason="moviepy writes the video: pip install '.[video]'")
    write_animation(tmp_path / "tiny.mp4", TINY)
    _, seconds = imageio.count_frames_and_secs(str(tmp_path / "tiny.mp4"))
    assert seconds == pytest.approx(1.75, abs=0.1) and [path.name for path in tmp_path.iterdir()] == ["tiny.mp4"]


@pytest.mark.parametrize("name", ["episode.png", "episode", "episode.gif.txt"])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"end in one of .gif, .mp4, not '{name}'"):
        write_animation(tmp_path / name, TINY)
    with pytest.raises(ValueError, match="one frame or more"):
        write_animation(tmp_path / "none.gif", [])
    assert not list(tmp_path.iterdir())


def test_a_video_without_moviepy_names_the_extra(tmp_path):
    program = "import sys; sys.modules['moviepy'] = None\n" \
              "from pathlib import Path; from agents.pictures import check_moving; check_moving(Path('a.mp4'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert 'ValueError: an .mp4 needs moviepy: pip install "deepexposure-gym[video]"' in done.stderr
