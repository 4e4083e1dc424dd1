"""A policy that looks at segments: what it decides depends on the segment and its surroundings, not on the step number.

One trunk over the photo, computed once an episode, gives a coarse field of EVs and a map of features. For each segment
the field is averaged, and a small head adds what the segment itself calls for: from the features pooled over it, and
from numbers in which rules of photography are simple, such as the logarithm of its mean luminance.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.planes import Visited, halved
from exposure_env.episode import CHANNELS, LAYOUT, EpisodeState
from exposure_env.image import luminance
from exposure_env.observations import ObsType
from exposure_env.task import ExposureTask

FIELD = 3  # side of the coarse EV field
FEATURES = 16  # features of a place that are pooled over a segment
NUMBERS = 19  # of a segment, see `SegmentActor.decide`
DARKEST = 2.0**-9  # added to luminance before its logarithm: about the darkest level of 8 bits


class Look(NamedTuple):
    """What is known of the K segments of each of N photos before any exposure."""

    field: Tensor  # (N, K) the EV field averaged over the segment, in units of the largest EV
    pooled: Tensor  # (N, K, FEATURES) features averaged over the segment
    numbers: Tensor  # (N, K, 12) of place and colour
    light: Tensor  # (N, K, 3) mean luminance in linear light of the segment, of its surroundings and of the photo
    areas: Tensor  # (N, K) fraction of the photo
    around: Tensor  # (N, K, h, w) shares of the pixels that surround the segment
    bright: Tensor  # (N, 1, H, W) luminance in linear light

    def at(self, rows: Tensor, slots: Tensor) -> "Look":
        """What is known of single segments, (M, ...): those in these slots of these rows."""
        return Look(*(part[rows, slots] for part in self[:-1]), self.bright)


class SegmentActor(nn.Module):
    """State planes -> action in (-1, 1); before any training 0, which leaves the photo untouched.

    Args:
        channels: Number of planes; all twelve are needed.
        size: Side of the planes [px].
        width: Channels of the first convolution; the third and fourth have four times as many.
        halvings: How many times the planes are halved before they are looked at.

    Raises:
        ValueError: If the planes are the paper's nine, or too small.
    """

    def __init__(self, channels: int, size: int, width: int = 32, halvings: int = 1):
        super().__init__()
        side = size // 2**halvings
        if channels != CHANNELS["full"]:
            raise ValueError(f'a policy that looks at segments needs all {CHANNELS["full"]} planes, not {channels}: '
                             'set planes="full"')
        if side < 16 or side % 16:
            raise ValueError(f"a policy that looks at segments needs a multiple of 16 px after {halvings} halvings, "
                             f"not {side}")
        self.halvings, self.side = halvings, side
        widths = [3, width, 2 * width, 4 * width, 4 * width]
        self.convolutions = nn.ModuleList(nn.Conv2d(before, after, 3, stride=2, padding=1)
                                          for before, after in zip(widths, widths[1:], strict=False))
        self.hidden = nn.Linear(4 * width * (side // 16) ** 2, 128)
        self.field = nn.Linear(128, FIELD**2)
        self.features = nn.Conv2d(2 * width, FEATURES, 1)
        self.segment = nn.Linear(FEATURES + NUMBERS, 64)
        self.residual = nn.Linear(64 + NUMBERS, 1)  # linear in the numbers, too: many rules of thumb are
        for layer in (self.field, self.residual):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, planes: Tensor) -> Tensor:
        """(N, 12, H, W) planes of `episode.observe` in [0, 1] -> (N, 1)."""
        photo, local = planes[:, LAYOUT["photo"]], planes[:, LAYOUT["local"]]
        look = self.look(photo, halved(planes[:, LAYOUT["mask"]], self.halvings))
        change = halved(light(local) - look.bright, self.halvings)[:, 0]
        done = planes[:, LAYOUT["exposed"]].mean((1, 2, 3))
        return self.decide(look.at(torch.arange(len(planes), device=planes.device), torch.zeros_like(done).long()),
                           change.mean((1, 2)), self._brighter(look.around[:, 0], change), done)[:, None]

    def remember(self, task: ExposureTask, states: EpisodeState) -> Look:
        """What is worth remembering of N photos while episodes are played."""
        seen = Visited(task, states, self.halvings)
        return self.look(states.photos.permute(0, 3, 1, 2), seen.masks[:, :, 0])

    def act(self, task: ExposureTask, obs_type: ObsType, states: EpisodeState, memory: Look | None = None) -> Tensor:
        """The (N,) actions in N states; those of finished episodes mean nothing.

        Args:
            task: The task.
            obs_type: Unused: what this network sees isn't rounded.
            states: The states, as tensors.
            memory: The result of `remember` for the same photos, if there is one.
        """
        memory = self.remember(task, states) if memory is None else memory
        rows, slots = torch.arange(len(states.step)), states.step.clamp(max=states.evs.shape[1] - 1)
        look, local = memory.at(rows.to(slots.device), slots), task.local(states).permute(0, 3, 1, 2)
        change = halved(light(local) - memory.bright, self.halvings)[:, 0]
        slot = torch.arange(states.evs.shape[1], device=slots.device)
        done = (memory.areas * (slot < states.step[:, None])).sum(1)
        return self.decide(look, change.mean((1, 2)), self._brighter(look.around, change), done)

    def acts(self, seen: Visited) -> Tensor:
        """The (M,) actions in all states that finished episodes went through; each photo is looked at once."""
        photos, slots = seen.finished.photos.permute(0, 3, 1, 2), seen.masks.shape[1]
        look = self.look(photos, seen.masks[:, :, 0])
        with torch.no_grad():
            local = seen.task.local(seen.finished).permute(0, 3, 1, 2)
            changes = seen.shrunk((light(local) - look.bright)[:, None] * seen.inside)[:, :, 0]  # (N, K, h, w)
            whole, near = changes.mean((2, 3)), torch.einsum("nkyx,njyx->nkj", look.around, changes)
            earlier = torch.ones(slots, slots, device=near.device).tril(-1)  # of segment k: those before it
            near = (near * earlier).sum(2)
        chosen = look.at(seen.rows, seen.states.step)
        return self.decide(chosen, seen.before(whole), seen.taken(near), seen.before(look.areas))

    @staticmethod
    def _brighter(around: Tensor, change: Tensor) -> Tensor:
        """(N,) how much lighter the surroundings, shares (N, h, w), became by a change of light (N, h, w)."""
        return (around * change).sum((1, 2))

    def look(self, photos: Tensor, masks: Tensor) -> Look:
        """What is known of segments before any exposure.

        Args:
            photos: (N, 3, H, W) in [0, 1].
            masks: (N, K, side, side) halved masks of the segments.
        """
        seen = halved(photos, self.halvings)
        layers = []
        x = seen - 0.5
        for convolution in self.convolutions:
            x = functional.leaky_relu(convolution(x), 0.2)
            layers.append(x)
        hidden = functional.leaky_relu(self.hidden(x.flatten(1)), 0.2)
        coarse = self.field(hidden).view(-1, 1, FIELD, FIELD)
        field = functional.interpolate(coarse, size=(self.side, self.side), mode="bicubic", align_corners=False)
        features = self.features(layers[1])
        with torch.no_grad():
            bright = light(photos)
            weights, areas, around, numbers, lights = self._measured(seen, halved(bright, self.halvings), masks)
            rough = halved(weights, 2) * 16
        return Look((field * weights).sum((2, 3)), torch.einsum("nkyx,ncyx->nkc", rough, features), numbers, lights,
                    areas, around, bright)

    def _measured(self, seen: Tensor, bright: Tensor, masks: Tensor) -> tuple[Tensor, ...]:
        """Shares of pixels in the segments, areas, shares of surroundings, numbers and luminances; see `Look`."""
        weights = masks / masks.sum((2, 3), keepdim=True).clamp(min=1e-6)  # they add up to 1 over the segment
        areas, around = masks.mean((2, 3)), surroundings(masks)
        axis = torch.linspace(-1, 1, self.side, device=seen.device)
        places = torch.stack([axis[:, None].expand(-1, self.side), axis.expand(self.side, -1)])
        places = torch.cat([places, places.square()]).expand(len(seen), -1, -1, -1)
        pixels = torch.cat([places, seen, bright], 1)  # (N, 8, side, side)
        means = torch.einsum("nkyx,ncyx->nkc", weights, pixels)
        ring = torch.einsum("nkyx,ncyx->nkc", around, bright)
        whole = torch.cat([seen, bright], 1).mean((2, 3))[:, None].expand(-1, masks.shape[1], -1)
        numbers = torch.cat([means[..., :2], means[..., 2:4] - means[..., :2].square(), means[..., 4:7],
                             whole[..., :3]], 2)
        return weights, areas, around, numbers, torch.cat([means[..., 7:], ring, whole[..., 3:]], 2)

    def decide(self, look: Look, whole: Tensor, near: Tensor, done: Tensor) -> Tensor:
        """The (M,) actions for M segments.

        The head sees NUMBERS: the segment's area and that of all done; its place and extent; its mean colour and the
        photo's; the logarithms of mean luminance, in linear light, of the segment, of its surroundings and of the
        photo, their differences, and how the last two have changed since the first step. Each is about 1 in magnitude.

        Args:
            look: Of M segments.
            whole: (M,) how much lighter the photo has become, in linear light.
            near: (M,) how much lighter the segment's surroundings have become.
            done: (M,) fraction of the photo that has been exposed.
        """
        segment, ring, photo = (log_light(light) for light in look.light.unbind(-1))
        ring_now, photo_now = log_light(look.light[:, 1] + near), log_light(look.light[:, 2] + whole)
        rest = torch.stack([look.areas, done, segment, ring, photo, segment - photo, segment - ring, ring_now - ring,
                            photo_now - photo], 1)
        numbers = torch.cat([look.numbers, rest], 1)
        hidden = functional.leaky_relu(self.segment(torch.cat([look.pooled, numbers], 1)), 0.2)
        return torch.tanh(look.field + self.residual(torch.cat([hidden, numbers], 1))[:, 0])


def log_light(light: Tensor) -> Tensor:
    """The logarithm of luminance in linear light, from -1.25 for black to 1 for white; four stops are 1."""
    return torch.log2(light.clamp(min=0) + DARKEST) / 4 + 1


def surroundings(masks: Tensor) -> Tensor:
    """(N, K, h, w) shares of the pixels just outside each segment; everything where it has no outside."""
    blurred = functional.avg_pool2d(halved(masks, 1), 5, stride=1, padding=2)
    outside = functional.interpolate(blurred, scale_factor=2, mode="nearest") * (1 - masks) + 1e-6
    return outside / outside.sum((2, 3), keepdim=True)


def light(images: Tensor) -> Tensor:
    """Luminance in linear light, (N, 1, H, W), of images (N, 3, H, W): sRGB's curve as a polynomial, to 0.003."""
    linear = images * (0.0125 + images * (0.6822 + images * 0.3053))
    return luminance(linear.permute(0, 2, 3, 1))[:, None]
