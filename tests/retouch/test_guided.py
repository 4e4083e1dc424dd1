import numpy as np

from exposure_env.retouch import RetouchPlan, apply_plan


def test_borders_go_where_the_photo_has_them():
    pixels = np.full((400, 400, 3), 60, np.uint8)
    pixels[:, 190:] = 120  # the thumbnail of 20 x 20 can only say: at 180 or 200
    labels = np.repeat([[0] * 9 + [1] * 11], 20, axis=0)
    plan = RetouchPlan(labels, [1, 0], space="encoded")  # lifts the left to the level of the right
    found = np.abs(apply_plan(plan, pixels)[200, :, 0].astype(int) - 120)
    assert found.max() <= 16 and found[:140].max() == 0 and found[190:].max() <= 1
    careless = np.abs(apply_plan(plan, pixels, feather=0)[200, :, 0].astype(int) - 120)
    assert careless[180:190].min() >= 30  # a dark stripe between the two borders
