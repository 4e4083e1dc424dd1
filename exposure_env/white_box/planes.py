"""What an agent sees of a white-box episode."""

from array_api_compat import array_namespace

from exposure_env.image import Array
from exposure_env.white_box.filters import FILTERS

LAYOUT = {  # where each part lies among the planes
    "image": slice(0, 3), "steps_left": slice(3, 4), "used": slice(4, 4 + len(FILTERS)),
}  # fmt: skip


def observe(images: Array, steps_left: float, used: Array) -> Array:
    """The planes of N episodes that are equally far, (N, H, W, 12) in [0, 1], of the images' dtype.

    Args:
        images: (N, H, W, 3) images so far, in [0, 1]; NumPy or Torch. Gradients flow back to them.
        steps_left: Fraction of the steps that are left.
        used: (N, 8) 1 for filters that were used, else 0; of the images' dtype.
    """
    xp, (num, height, width) = array_namespace(images), images.shape[:3]
    left = xp.full_like(images[..., :1], steps_left)
    return xp.concat([images, left, xp.broadcast_to(used[:, None, None], (num, height, width, len(FILTERS)))], axis=-1)
