"""The planes of episodes as the networks see them: channels first, in whole batches."""

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from exposure_env import episode
from exposure_env.decoding import decode
from exposure_env.observations import ObsType
from exposure_env.task import ExposureTask


def planes(task: ExposureTask, obs_type: ObsType, states: episode.EpisodeState, local: Tensor | None = None) -> Tensor:
    """(N, C, H, W) planes as the actor sees them while it plays; gradients flow back to the exposures so far.

    Args:
        task: The task.
        obs_type: Type of the environment's observations; unless it is "float32", images are rounded to bytes.
        states: N episodes, as tensors.
        local: (N, H, W, 3) local images of the episodes, if already known.
    """
    seen = episode.observe(states, task.local(states) if local is None else local, task.config.planes)
    return rounded(seen.permute(0, 3, 1, 2), obs_type)


def rounded(seen: Tensor, obs_type: ObsType) -> Tensor:
    """Planes (N, C, H, W) as observations of that type hold them; the gradient ignores the rounding."""
    if obs_type == "float32":
        return seen
    bytes_ = (seen.detach() * 255).round() / 255
    if obs_type == "dict":  # bytes, except the progress
        bytes_[:, episode.LAYOUT["progress"]] = seen[:, episode.LAYOUT["progress"]]
    return seen + (bytes_ - seen).detach() if seen.requires_grad else bytes_


class Visited:
    """All M states that N finished episodes went through, as networks see them that first halve the planes.

    A local image differs from the finished one only in the segments still to come. So everything is computed once a
    photo and once a segment, at the networks' resolution, and the planes of states are put together from that. They
    are those of `planes`, averaged down; averages aren't rounded to bytes.

    Args:
        task: The task.
        finished: N finished episodes, as tensors.
        halvings: How many times the networks halve the planes.
        obs_type: Type of the environment's observations, see `planes`.
    """

    def __init__(self, task: ExposureTask, finished: episode.EpisodeState, halvings: int = 0,
                 obs_type: ObsType = "float32"):
        self.task, self.finished, self.halvings, self.obs_type = task, finished, halvings, obs_type
        self.rows, self.states = episode.visited(finished)
        lengths = finished.num_segments
        self.first = torch.cumsum(lengths, 0) - lengths  # (N,) each photo's first state

    @cached_property
    def photos(self) -> Tensor:
        """(N, 3, h, w) photos."""
        return halved(self.finished.photos.permute(0, 3, 1, 2), self.halvings)

    @cached_property
    def inside(self) -> Tensor:
        """(N, K, 1, H, W) whether a pixel is in a segment, at full resolution."""
        slots = torch.arange(self.finished.evs.shape[1], device=self.finished.labels.device)
        return (self.finished.labels[:, None] == slots[None, :, None, None])[:, :, None].float()

    @cached_property
    def masks(self) -> Tensor:
        """(N, K, 1, h, w) masks of the segments."""
        return self.shrunk(self.inside)

    @cached_property
    def added(self) -> Tensor:
        """(N, K, 3, h, w) what the exposure of each segment adds to the local image."""
        change = (self.task.local(self.finished) - self.finished.photos).permute(0, 3, 1, 2)
        return self.shrunk(change[:, None] * self.inside)

    def shrunk(self, parts: Tensor) -> Tensor:
        """(N, K, C, H, W) at the networks' resolution."""
        return halved(parts.flatten(0, 1), self.halvings).unflatten(0, parts.shape[:2])

    def taken(self, parts: Tensor) -> Tensor:
        """(M, ...) what belongs to the segment that each state is about to expose, of (N, K, ...)."""
        return parts[self.rows, self.states.step]

    def before(self, parts: Tensor) -> Tensor:
        """(M, ...) the sum over the segments that each state has exposed, of (N, K, ...)."""
        return self.taken(parts.cumsum(1) - parts)

    @cached_property
    def planes(self) -> Tensor:
        """(M, C, h, w) planes, without gradients."""
        with torch.no_grad():
            return self._planes(self.before(self.added), self.taken(self.masks), self.before(self.masks),
                                self.states.step)

    def planes_after(self, evs: Tensor, which: Tensor) -> Tensor:
        """(L, C, h, w) planes after other exposures in some of the states; gradients flow to them alone.

        Args:
            evs: (M,) the exposures [stops].
            which: (M,) booleans, L of them true: states whose episodes aren't over then.
        """
        tried = torch.zeros_like(self.finished.evs).index_put((self.rows, self.states.step), evs)
        own = Visited(self.task, self.finished._replace(evs=tried), self.halvings, self.obs_type)
        own.__dict__.update(inside=self.inside, masks=self.masks)
        before, added = self.before(self.added.detach()), self.taken(own.added)
        rows, step = self.rows[which], self.states.step[which] + 1
        done = self.masks.cumsum(1)[rows, step - 1]
        return self._planes((before + added)[which], self.masks[rows, step], done, step, rows)

    def _planes(self, local: Tensor, mask: Tensor, done: Tensor, step: Tensor, rows: Tensor | None = None) -> Tensor:
        rows = self.rows if rows is None else rows
        photos = self.photos[rows]
        inside = self.inside[rows, step]
        segment = halved(self.finished.photos.permute(0, 3, 1, 2)[rows] * inside, self.halvings)
        parts = [photos, segment, (photos + local).clamp(0, 1)]
        if self.task.config.planes == "full":
            progress = (step / self.finished.num_segments[rows])[:, None, None, None]
            parts += [mask, done, progress.to(mask.dtype).expand_as(mask)]
        return torch.cat(parts, 1) if self.halvings else rounded(torch.cat(parts, 1), self.obs_type)


def halved(planes: Tensor, halvings: int) -> Tensor:
    """The planes averaged down by a factor of 2^halvings: cheaper to process, and blind to one-pixel seams."""
    for _ in range(halvings):  # by slices, rows first: several times as fast as avg_pool2d on a CPU
        rows = planes[..., ::2, :] + planes[..., 1::2, :]
        planes = (rows[..., ::2] + rows[..., 1::2]) / 4
    return planes


def observed_planes(observations: Tensor | Mapping[str, Tensor]) -> Tensor:
    """(N, C, H, W) floats in [0, 1] from N observations of any type, channels first or last."""
    return decode(observations).permute(0, 3, 1, 2)
