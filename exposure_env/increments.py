"""What each exposure adds to the picture, where a rendering is a sum over segments: all states of an episode at once.

A blend under masks is linear in its images, so an unfinished episode's picture is the photo plus what each exposure so
far has added. An episode of K steps needs K such increments; rendering its states one by one takes K layers for each.
"""

from typing import Any

from array_api_compat import array_namespace, device

from exposure_env.episode import EpisodeState
from exposure_env.fusion import FUSIONS, option_defaults
from exposure_env.image import Array, Space, clip, expose
from exposure_env.pyramid import blend, blur


def is_additive(fusion: Any) -> bool:
    """Whether a task's rendering is known to be such a sum; False for one given as a function, not by name."""
    return isinstance(fusion, str) and FUSIONS[fusion].additive


def increment(states: EpisodeState, ev: Array, fusion: str, space: Space = "linear") -> Array:
    """What exposing the next segment adds to the picture, before the sum is clipped: (M, H, W, 3).

    Args:
        states: M unfinished episodes.
        ev: (M,) exposure values of their next segments [stops]; gradients flow to them.
        fusion: Name of an additive rendering.
        space: See `image.expose`.
    """
    xp = array_namespace(states.photos)
    options = option_defaults(fusion)
    levels = min(options.get("levels", 0), min(states.labels.shape[1:]).bit_length() - 1)
    change = clip(expose(states.photos, ev[:, None, None], space)) - states.photos
    mask = blur(xp.astype(states.labels == states.step[:, None, None], states.photos.dtype), options.get("feather", 0))
    added = blend(xp.permute_dims(change, (0, 3, 1, 2))[:, None], mask[:, None], levels)
    return xp.permute_dims(added, (0, 2, 3, 1))


def pictures_before(finished: EpisodeState, episode: Array, states: EpisodeState, fusion: str,
                    space: Space = "linear") -> Array:
    """The pictures before each step of finished episodes, not clipped: (M, H, W, 3).

    Args:
        finished: N finished episodes.
        episode: (M,) the episode of each state, 0..N-1, from `episode.visited`.
        states: The M states, from the same call.
        fusion: Name of an additive rendering.
        space: See `image.expose`.
    """
    xp = array_namespace(finished.photos)
    added = increment(states, finished.evs[episode, states.step], fusion, space)
    padded = xp.zeros((*finished.evs.shape, *added.shape[1:]), dtype=added.dtype, device=device(added))
    padded[episode, states.step] = added
    return states.photos + xp.cumulative_sum(padded, axis=1)[episode, states.step] - added
