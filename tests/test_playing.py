"""Playing photos without learning from them."""

import numpy as np

from agents.baselines.untrained import ConstantEV
from agents.playing import play
from exposure_env.image import clip, expose
from exposure_env.photos import Photo
from exposure_env.task import ExposureTask
from tests.evaluation.small import GREY, halves


def test_play_needs_no_target():
    task = ExposureTask([Photo("bare", GREY)], halves, size=16)
    state = play(ConstantEV(1.0), task, task.start([task.scene(0, None)]))
    np.testing.assert_array_equal(state.evs[0], [1, 1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(task.fused(state), clip(expose(GREY, 1.0))[None], atol=1e-6)
