"""A reward model of somebody's taste, from answers to one question: which of two retouches is better?

The model is that of Bradley and Terry (1952). The judge's answers lie in a folder: a line of JSON for each in
`preferences.jsonl`, and the pairs themselves as small images. From them networks learn scores whose differences are the
log-odds of being preferred, as the reward models of language models do (Christiano et al. 2017).
"""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agents.networks import Discriminator
from agents.rewards.saved import FrozenReward
from exposure_env.files import ImageFile, load_image, read_small, save_image
from exposure_env.parsing import parse_json
from exposure_env.rewards import score

FILE_NAME, IMAGES = "preferences.jsonl", "pairs"
SIDES = ("left", "right")
WIDTH, HALVINGS = 8, 1  # of the networks: a few hundred answers teach no more


class Preference(NamedTuple):
    """A judge's answer about two retouches of one photo."""

    left: np.ndarray  # (H, W, 3) float32 in [0, 1]
    right: np.ndarray  # likewise
    preferred: str  # "left" or "right"
    photo: str = "photo"  # name of the photo
    judge: str = "judge"  # who preferred


class PreferenceFolder:
    """A folder of a judge's answers; each is kept as soon as it is given.

    Args:
        folder: The folder; created with the first answer.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def add(self, preference: Preference) -> int:
        """Keeps an answer, and returns how many there are.

        Raises:
            ValueError: If the preferred side is neither "left" nor "right", or the images differ in shape.
        """
        if preference.preferred not in SIDES:
            raise ValueError(f'preferred must be "left" or "right", not {preference.preferred!r}')
        if preference.left.shape != preference.right.shape:
            raise ValueError(f"the two retouches must have one shape, not {preference.left.shape} and "
                             f"{preference.right.shape}")
        (self.folder / IMAGES).mkdir(parents=True, exist_ok=True)
        stem = uuid.uuid4().hex  # lines may have been deleted: a number could be another answer's
        names = {side: f"{IMAGES}/{stem}_{side}.png" for side in SIDES}
        for side, name in names.items():
            save_image(self.folder / name, ImageFile((getattr(preference, side) * 255).round().astype(np.uint8)))
        line = {"photo": preference.photo, "judge": preference.judge, "preferred": preference.preferred, **names}
        path = self.folder / FILE_NAME
        torn = path.exists() and not read_small(path).endswith(b"\n") and path.stat().st_size > 0
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps(line) + "\n")  # a line is written whole, or is the last
        return len(self)

    def read(self, contradictions: str = "refuse") -> list[Preference]:
        """All answers.

        Args:
            contradictions: What happens if one judge has preferred each of the same two retouches: "refuse" raises an
                error; "drop" leaves such pairs out.

        Raises:
            ValueError: If there are none, a line is damaged or an image is missing, or see above.
        """
        if contradictions not in ("refuse", "drop"):
            raise ValueError(f'contradictions must be "refuse" or "drop", not {contradictions!r}')
        lines = self._lines()
        if not lines:
            raise ValueError(f"{self.folder / FILE_NAME} holds no answers: give some with `exposure prefer`")
        answers = [self._answer(line, number) for number, line in lines.items()]
        told: dict[Any, tuple[int, str]] = {}
        wrong: set[Any] = set()
        keys = [(answer.judge, *sorted(side.tobytes() for side in answer[:2])) for answer in answers]
        for number, key, answer in zip(lines, keys, answers, strict=True):
            better = (answer.left if answer.preferred == "left" else answer.right).tobytes()
            before = told.setdefault(key, (number, better))
            if before[1] != better:
                if contradictions == "refuse":
                    raise ValueError(f"{self.folder / FILE_NAME}: {answer.judge!r} preferred one of two retouches of "
                                     f"{answer.photo!r} in line {before[0]}, and the other in line {number}: delete "
                                     'one of them, or read with contradictions="drop"')
                wrong.add(key)
        return [answer for key, answer in zip(keys, answers, strict=True) if key not in wrong]

    def __len__(self) -> int:
        """The number of answers."""
        return len(self._lines())

    def _lines(self) -> dict[int, str]:
        """The answers as written, by the number of their line; those that were never finished are left out."""
        path = self.folder / FILE_NAME
        if not path.exists():
            return {}
        lines = read_small(path).decode("utf-8", errors="replace").split("\n")
        whole = lines[:-1]  # the last has no end
        return {number: line for number, line in enumerate(whole, 1) if line.strip() and not _torn(line)}

    def _answer(self, line: str, number: int) -> Preference:
        where = f"{self.folder / FILE_NAME}, line {number}"
        try:
            told = parse_json(line)
            names = {side: str(told[side]) for side in SIDES}
            preferred, photo, judge = (str(told[name]) for name in ("preferred", "photo", "judge"))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{where} is not an answer: {error!r}") from error
        if preferred not in SIDES:
            raise ValueError(f'{where}: preferred must be "left" or "right", not {preferred!r}')
        for name in names.values():
            if Path(name).parent != Path(IMAGES):
                raise ValueError(f"{where}: images must lie in {IMAGES}, not {name!r}")
        left, right = (load_image(self.folder / name).pixels.astype(np.float32) / 255 for name in names.values())
        return Preference(left, right, preferred, photo, judge)


def _torn(line: str) -> bool:
    """Whether a line is the beginning of an answer that a crash cut short, before others were added."""
    return line.startswith("{") and not line.endswith("}")


def fit_preferences(preferences: Sequence[Preference], *, members: int = 4, steps: int = 400,
                    learning_rate: float = 1e-3, weight_decay: float = 1e-2, batch_size: int = 32,
                    seed: int = 0) -> FrozenReward:
    """Networks that score images so that preferred ones score higher: an ensemble, each trained on its own resample.

    Args:
        preferences: The answers; all images of one square size, a multiple of 16 px from 16.
        members: Number of networks.
        steps: Steps of AdamW.
        learning_rate: The largest; it falls along a half cosine.
        weight_decay: AdamW's.
        batch_size: Answers in a step.
        seed: Seed of networks, resamples and order.

    Raises:
        ValueError: If there are fewer than ten answers, or images differ in size.
    """
    if len(preferences) < 10:
        raise ValueError(f"{len(preferences)} answers are too few to learn from: give ten or more, better some hundred")
    if len(sizes := {image.shape for each in preferences for image in each[:2]}) > 1:
        raise ValueError(f"all retouches must have one size, not {sorted(sizes)}")
    better, worse = (torch.as_tensor(np.stack([getattr(each, each.preferred if best else _other(each.preferred))
                                               for each in preferences])) for best in (True, False))
    networks = [_fitted(better, worse, steps, learning_rate, weight_decay, batch_size, seed + 1000 * i)
                for i in range(members)]
    return FrozenReward(networks, "preferences")


def _other(side: str) -> str:
    return SIDES[1 - SIDES.index(side)]


def _fitted(better: Tensor, worse: Tensor, steps: int, learning_rate: float, weight_decay: float, batch_size: int,
            seed: int) -> Discriminator:
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Discriminator(better.shape[1], WIDTH, HALVINGS, "std")
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, betas=(0.9, 0.99), weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    resample = torch.randint(len(better), (len(better),), generator=generator)
    for _ in range(steps):
        chosen = resample[torch.randint(len(better), (batch_size,), generator=generator)]
        pair = torch.cat([better[chosen], worse[chosen]])
        if torch.rand((), generator=generator) < 0.5:
            pair = pair.flip(2)
        first, second = network(pair).chunk(2)
        loss = functional.softplus(second - first).mean()  # minus the log-likelihood of the answers
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def agreement(reward: FrozenReward, preferences: Sequence[Preference]) -> float:
    """The fraction of answers that a reward model would have given, too; a tie counts one half.

    Raises:
        ValueError: If there are no answers.
    """
    if not preferences:
        raise ValueError("there are no answers to agree with")
    sides = [np.stack([each[i] for each in preferences]) for i in range(2)]
    left, right = (np.asarray(score(reward, side, side, None)) for side in sides)
    wanted = np.array([1.0 if each.preferred == "left" else -1.0 for each in preferences])
    return float(np.mean((np.sign(left - right) * wanted + 1) / 2))
