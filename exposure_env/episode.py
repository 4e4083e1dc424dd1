"""The decision process: a photo's segments are exposed one after the other.

Pure functions on a frozen record, batch first, for NumPy and Torch alike; no Gymnasium here. `env` and `vector` are
thin shells around them, and the agents differentiate through them.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from array_api_compat import array_namespace, device

from exposure_env.acceleration import accelerated
from exposure_env.fusion import local
from exposure_env.image import Array, Space, clip

Planes = Literal["paper", "full"]
LAYOUT = {  # where each part lies among the planes that `observe` gives; defined only here
    "photo": slice(0, 3), "segment": slice(3, 6), "local": slice(6, 9),
    "mask": slice(9, 10), "exposed": slice(10, 11), "progress": slice(11, 12),
}  # fmt: skip
CHANNELS = {"paper": LAYOUT["local"].stop, "full": LAYOUT["progress"].stop}


class EpisodeState(NamedTuple):
    """N episodes side by side. The exposures so far are all there is to remember: every image follows from them."""

    photos: Array  # (N, H, W, 3) float32, sRGB-encoded in [0, 1]: S_0
    targets: Array | None  # (N, H, W, 3) float32 experts' versions, where there are any
    labels: Array  # (N, H, W) int32: the segment of every pixel, numbered in the order of exposure
    evs: Array  # (N, K) float32 in stops; 0 for segments not yet exposed
    step: Array  # (N,) int64: exposures given so far, t
    num_segments: Array  # (N,) int64, at most K; episodes of one batch may differ in length

    def map(self, function: Callable[[Array], Array]) -> "EpisodeState":
        """The state with the function applied to each of its arrays."""
        return EpisodeState(*(None if array is None else function(array) for array in self))


def start(photos: Array, labels: Array, max_segments: int, targets: Array | None = None) -> EpisodeState:
    """The first state of N episodes.

    Args:
        photos: (N, H, W, 3) float32 in [0, 1].
        labels: (N, H, W) integers; those of each photo run from 0 to one less than its number of segments.
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
    """The state after exposing the next segment of every unfinished episode; p(s_t, a_t) in the paper.

    Args:
        state: N episodes.
        ev: (N,) exposure values in stops. Gradients flow back to them from the next state.
    """
    xp = array_namespace(state.evs)
    slots = xp.arange(state.evs.shape[1], device=device(state.evs))[None]
    here = (slots == state.step[:, None]) & ~is_done(state)[:, None]
    evs = xp.where(here, ev[:, None], state.evs)
    return state._replace(evs=evs, step=state.step + xp.astype(~is_done(state), state.step.dtype))


def is_done(state: EpisodeState) -> Array:
    """Whether the last segment has been exposed, (N,) booleans."""
    return state.step >= state.num_segments


def untouched(state: EpisodeState) -> EpisodeState:
    """The same episodes before their first exposure."""
    xp = array_namespace(state.evs)
    return state._replace(evs=xp.zeros_like(state.evs), step=xp.zeros_like(state.step))


def select(state: EpisodeState, index: Array) -> EpisodeState:
    """The episodes that an index array, a slice or a boolean mask picks."""
    return state.map(lambda array: array[index])


def concatenate(states: Sequence[EpisodeState]) -> EpisodeState:
    """One state with the episodes of all these states, either all with targets or all without."""
    xp = array_namespace(states[0].photos)
    columns = zip(*states, strict=True)
    return EpisodeState(*(None if column[0] is None else xp.concat(column, axis=0) for column in columns))


@accelerated("episode.local_image")
def local_image(state: EpisodeState, space: Space = "linear") -> Array:
    """The local image so far, S^l_t: (N, H, W, 3) in [0, 1]; S_0 itself before the first step."""
    return local(state.photos, state.labels, state.evs, space=space)


def observe(state: EpisodeState, image: Array, planes: Planes = "full") -> Array:
    """What the agent sees, s_t = (S_0, seg_t, S^l_t) as planes (section 4).

    Args:
        state: N episodes.
        image: (N, H, W, 3) local image so far; the final image where the episode is over.
        planes: "paper" for these nine planes, "full" for three more: the mask of the segment to expose, the mask of
            those done, and the fraction of steps taken. In the nine alone, a segment's black pixels look like outside.

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

    Only the exposures change in an episode, so its states need not have been stored.

    Args:
        finished: N finished episodes.

    Returns:
        The episode of each state, (M,) integers 0..N-1, and the states.
    """
    xp = array_namespace(finished.evs)
    lengths = finished.num_segments
    episode = xp.repeat(xp.arange(lengths.shape[0], device=device(lengths)), lengths)
    first = xp.cumulative_sum(lengths) - lengths
    step = xp.arange(episode.shape[0], device=device(lengths)) - first[episode]
    states = select(finished, episode)
    slots = xp.arange(finished.evs.shape[1], device=device(lengths))
    evs = xp.where(slots < step[:, None], states.evs, xp.zeros_like(states.evs))
    return episode, states._replace(evs=evs, step=step)


def shaping(before: Array, after: Array, done: Array, gamma: float) -> Array:
    """Potential-based shaping F = gamma * Phi(s') - Phi(s), with Phi = 0 at the end (Ng, Harada and Russell 1999).

    It leaves the optimal policy unchanged: over an episode its discounted sum is -Phi(s_0), whatever the actions.

    Args:
        before: (N,) potentials of the states.
        after: (N,) potentials of the next states.
        done: (N,) booleans, whether the next state ends the episode.
        gamma: Discount factor.

    Returns:
        (N,) rewards to add.

    Examples:
        An episode of three steps, whose image is worth 10 at first and then 11, 13 and 14; the last doesn't count:

        >>> import numpy as np
        >>> before, after = np.array([10.0, 11.0, 13.0]), np.array([11.0, 13.0, 14.0])
        >>> added = shaping(before, after, np.array([False, False, True]), gamma=1.0)
        >>> added
        array([  1.,   2., -13.])
        >>> float(added.sum())
        -10.0
    """
    xp = array_namespace(before)
    return gamma * xp.where(done, xp.zeros_like(after), after) - before
