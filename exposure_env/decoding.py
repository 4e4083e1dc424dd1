"""Observations of any type as planes again: what networks and baselines see."""

from collections.abc import Mapping

from array_api_compat import array_namespace
from gymnasium import spaces

from exposure_env.episode import CHANNELS, LAYOUT
from exposure_env.image import Array


def decode(observation: Array | Mapping[str, Array]) -> Array:
    """The planes that observations of any type show: the inverse of `encode`, up to rounding.

    Args:
        observation: One observation or N of them: planes or a dict of parts, uint8 or floats in [0, 1], channels last
            or first, NumPy or Torch.

    Returns:
        ([N,] H, W, 9 or 12) floats in [0, 1], channels last.

    Raises:
        ValueError: If these are not observations from one of this project's environments.
    """
    if not isinstance(observation, Mapping):
        return _as_floats(_channels_last(observation, *CHANNELS.values()))
    if not {"photo", "segment", "local"} <= observation.keys():
        raise ValueError(f"want observations with the parts {list(LAYOUT)}, not {list(observation)}")
    xp = array_namespace(observation["photo"])
    names = [name for name in LAYOUT if name in observation and name != "progress"]
    images = [_channels_last(observation[name], LAYOUT[name].stop - LAYOUT[name].start) for name in names]
    planes = [_as_floats(xp.concat(images, axis=-1))]
    if "progress" in observation:
        progress = xp.astype(observation["progress"], planes[0].dtype)[..., None, None, :]
        planes.append(xp.broadcast_to(progress, (*images[0].shape[:-1], 1)))
    return xp.concat(planes, axis=-1)


def _channels_last(planes: Array, *channels: int) -> Array:
    if planes.ndim not in (3, 4) or not {planes.shape[-1], planes.shape[-3]} & set(channels):
        raise ValueError(f"want planes with {' or '.join(map(str, channels))} channels, last or first, not an array of "
                         f"shape {tuple(planes.shape)}")
    return planes if planes.shape[-1] in channels else array_namespace(planes).moveaxis(planes, -3, -1)


def _as_floats(planes: Array) -> Array:
    xp = array_namespace(planes)
    return xp.astype(planes, xp.float32) / 255 if planes.dtype == xp.uint8 else planes


def plane_shape(space: spaces.Space) -> tuple[int, int]:
    """The number of planes in an observation space, and their side [px].

    Raises:
        ValueError: If it isn't the observation space of one of this project's environments.
    """
    if isinstance(space, spaces.Dict) and {"photo", "segment", "local"} <= set(space.keys()):
        height, width = sorted(space["photo"].shape)[1:]
        channels = CHANNELS["full" if "progress" in space.keys() else "paper"]
    elif isinstance(space, spaces.Box) and len(space.shape) == 3 and _has_planes(space.shape):
        last = space.shape[-1] in CHANNELS.values()
        channels, height, width = (space.shape[-1], *space.shape[:2]) if last else space.shape
    else:
        raise ValueError(f"these are not the observations of an exposure environment: {space}")
    if height != width:
        raise ValueError(f"planes must be square, not {height}x{width}")
    return channels, height


def _has_planes(shape: tuple[int, ...]) -> bool:
    return bool({shape[0], shape[-1]} & set(CHANNELS.values()))
