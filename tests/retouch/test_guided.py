import numpy as np

from exposure_env.retouch import RetouchPlan, apply_plan, soft_masks


def test_borders_go_where_the_photo_has_them():
    pixels = np.full((400, 400, 3), 60, np.uint8)
    pixels[:, 190:] = 120  # the thumbnail of 20 x 20 can only say: at 180 or 200
    labels = np.repeat([[0] * 9 + [1] * 11], 20, axis=0)
    plan = RetouchPlan(labels, [1, 0], space="encoded")  # lifts the left to the level of the right
    found = np.abs(apply_plan(plan, pixels)[200, :, 0].astype(int) - 120)
    assert found.max() <= 16 and found[:140].max() == 0 and found[190:].max() <= 1
    careless = np.abs(apply_plan(plan, pixels, feather=0)[200, :, 0].astype(int) - 120)
    assert careless[180:190].min() >= 30  # a dark stripe between the two borders


def test_soft_masks_share_out_every_pixel_along_the_edges_of_the_photo():
    pixels = np.full((400, 300, 3), 60, np.uint8)
    pixels[190:] = 120  # the thumbnail of 20 x 20 can only say: at 180 or 200
    labels = np.repeat([[0] * 9 + [1] * 11], 20, axis=0).T
    masks = soft_masks(labels, pixels)
    assert masks.shape == (2, 400, 300) and masks.dtype == np.float32 and masks.min() >= 0
    np.testing.assert_allclose(masks.sum(axis=0), 1, atol=1e-5)
    assert masks[0, :150].min() > 0.9 and masks[1, 230:].min() > 0.9
    tall = soft_masks(np.repeat([[0] * 10 + [1] * 10], 20, axis=0), pixels, "letterbox")
    assert tall.shape == masks.shape and tall[0, :, :90].min() > 0.9 and tall[1, :, -90:].min() > 0.9
