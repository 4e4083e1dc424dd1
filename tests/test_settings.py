import math

import pytest

from exposure_env.settings import TASK_PRESETS, TaskConfig
from exposure_env.task import ExposureTask
from tests.tasks import PAIR


class TestSettings:
    def test_the_paper_preset_is_the_papers_literal_choice(self):
        config = ExposureTask(PAIR, preset="paper").config
        assert (config.relative, config.fusion, config.reward_image, config.space, config.planes, config.max_ev) == (
            False, "mertens", "local", "encoded", "paper", 3.5)  # fmt: skip
        assert ExposureTask(PAIR).config == TaskConfig() == TASK_PRESETS["recommended"]

    def test_settings_take_the_place_of_the_presets(self):
        config = ExposureTask(PAIR, preset="paper", max_ev=2.0, planes="full").config
        assert (config.max_ev, config.planes, config.space) == (2.0, "full", "encoded")
        assert TASK_PRESETS["paper"].max_ev == 3.5

    def test_an_unknown_preset_is_an_error(self):
        with pytest.raises(ValueError, match="'nature'"):
            ExposureTask(PAIR, preset="nature")

    def test_an_unknown_setting_is_an_error_that_names_it_and_the_known_ones(self):
        with pytest.raises(TypeError, match="unexpected keyword argument 'maximum_ev'.*max_ev"):
            ExposureTask(PAIR, maximum_ev=2.0)

    @pytest.mark.parametrize(
        "name, value",
        [
            ("thumbnail", "crop"), ("reward_image", "global"), ("space", "gamma"), ("planes", "all"),
            ("order", "size"), ("fusion", "hdr"), ("size", 3), ("size", 64.0), ("max_segments", 0),
            ("max_segments", 2.5), ("max_ev", 0.0), ("max_ev", -1.0), ("max_ev", math.nan), ("max_ev", math.inf),
            ("gamma", -0.1), ("gamma", 1.1), ("gamma", math.nan),
        ],
    )  # fmt: skip
    def test_a_setting_that_makes_no_sense_is_an_error_that_names_it_and_the_value(self, name, value):
        with pytest.raises(ValueError) as error:
            ExposureTask(PAIR, **{name: value})
        assert name in str(error.value) and repr(value) in str(error.value)

    @pytest.mark.parametrize("spec", ["beauty", 3])
    def test_an_unknown_reward_or_potential_is_an_error_that_names_it(self, spec):
        with pytest.raises(ValueError, match=str(spec)):
            ExposureTask(PAIR, reward_model=spec)
        with pytest.raises(ValueError, match=str(spec)):
            ExposureTask(PAIR, shaping=spec)

    def test_an_unknown_segmenter_is_an_error_that_names_it_at_once(self):
        with pytest.raises(ValueError, match="'watershed'"):
            ExposureTask(PAIR, "watershed")
