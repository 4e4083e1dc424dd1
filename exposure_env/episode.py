"""The decision process: a photo's segments are exposed one after the other.

Pure functions on a frozen record, batch first, for NumPy and Torch alike; no Gymnasium here. `env` and `vector` are
thin shells around them, and the agents differentiate through them.
"""

from typing import Literal, NamedTuple

from array_api_compat import array_namespace, device

from exposure_env.fusion import local
from exposure_env.image import Array, Space, clip

Planes = Literal["paper", "full"]
CHANNELS = {"paper": 9, "full": 12}


class EpisodeState(NamedTuple):
    """N episodes side by side. The exposures so far are all there is to remember: every image follows from them."""

    photos: Array  # (N, H, W, 3) float32, sRGB-encoded in [0, 1]: S_0
    targets: Array | None  # (N, H, W, 3) float32 experts' versions, where there are any
    labels: Array  # (N, H, W) int32: the segment of every pixel, in the order in which they are exposed
    evs: Array  # (N, K) float32 in stops; 0 for segments not yet exposed
    step: Array  # (N,) int64: exposures given so far, t
    num_segments: Array  # (N,) int64, at most K; episodes of one batch may differ in length


def start(photos: Array, labels: Array, max_segments: int, targets: Array | None = None) -> EpisodeState:
    """The first state of N episodes.

    Args:
        photos: (N, H, W, 3) float32 in [0, 1].
        labels: (N, H, W) integers; each photo's run from 0 to one less than its number of segments.
        max_segments: K, the room for exposures.
        targets: (N, H, W, 3) float32, optional.
    """
    xp = array_namespace(photos)
    num = photos.shape[0]
    evs = xp.zeros((num, max_segments), dtype=photos.dtype, device=device(photos))
    step = xp.zeros((num,), dtype=xp.int64, device=device(photos))
    num_segments = xp.astype(xp.max(xp.reshape(labels, (num, -1)), axis=1), xp.int64) + 1
    return EpisodeState(photos, targets, labels, evs, step, num_segments)


def advance(state: EpisodeState, ev: Array) -> EpisodeState:
    """The state after the next segment of every unfinished episode got its exposure; p(s_t, a_t) in the paper.

    Args:
        state: N episodes.
        ev: (N,) exposure values in stops. Gradients flow from the next state to them.
    """
    xp = array_namespace(state.evs)
    slots = xp.arange(state.evs.shape[1], device=device(state.evs))[None]
    here = (slots == state.step[:, None]) & ~is_done(state)[:, None]
    evs = xp.where(here, ev[:, None], state.evs)
    return state._replace(evs=evs, step=state.step + xp.astype(~is_done(state), state.step.dtype))


def is_done(state: EpisodeState) -> Array:
    """(N,) booleans: whether the last segment has been exposed."""
    return state.step >= state.num_segments


def local_image(state: EpisodeState, space: Space = "linear") -> Array:
    """The local image so far, S^l_t: (N, H, W, 3) in [0, 1]; S_0 itself before the first step."""
    return local(state.photos, state.labels, state.evs, space=space)


def observe(state: EpisodeState, image: Array, planes: Planes = "full") -> Array:
    """What the agent sees, s_t = (S_0, seg_t, S^l_t) as planes (section 4).

    Args:
        state: N episodes.
        image: (N, H, W, 3) local image so far; the final image where the episode is over.
        planes: "paper" for these nine planes, "full" with three more: the mask of the segment to expose, the mask of
            those done, and the fraction of steps taken. A black pixel of a segment looks like outside in the nine.

    Returns:
        (N, H, W, 9 or 12) floats in [0, 1]. The planes of the next segment are zero once the episode is over.
    """
    xp = array_namespace(state.photos)
    dtype = state.photos.dtype
    step = state.step[:, None, None]
    mask = xp.astype((state.labels == step) & ~is_done(state)[:, None, None], dtype)[..., None]
    seen = [state.photos, state.photos * mask, clip(image)]
    if planes == "full":
        done = xp.astype(state.labels < step, dtype)[..., None]
        progress = xp.astype(state.step, dtype) / xp.astype(state.num_segments, dtype)
        seen += [mask, done, xp.broadcast_to(progress[:, None, None, None], mask.shape)]
    return xp.concat(seen, axis=-1)


def visited(finished: EpisodeState) -> tuple[Array, EpisodeState]:
    """Every state in which finished episodes took an exposure, episode by episode: M = sum(num_segments) states.

    The exposures are all that changes in an episode, so its states need not have been stored.

    Args:
        finished: N finished episodes.

    Returns:
        (M,) the episode of each state, 0..N-1, and the states.
    """
    xp = array_namespace(finished.evs)
    lengths = finished.num_segments
    episode = xp.repeat(xp.arange(lengths.shape[0], device=device(lengths)), lengths)
    first = xp.cumulative_sum(lengths) - lengths
    step = xp.arange(episode.shape[0], device=device(lengths)) - first[episode]
    states = EpisodeState(*(None if array is None else array[episode] for array in finished))
    slots = xp.arange(finished.evs.shape[1], device=device(lengths))
    evs = xp.where(slots < step[:, None], states.evs, xp.zeros_like(states.evs))
    return episode, states._replace(evs=evs, step=step)
