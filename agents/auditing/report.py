"""Several audits together: which photos, one table, one figure, one JSON, and a storyboard of each optimum."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agents.auditing.audit import Audit, Regret, audit_reward, regret, start
from agents.auditing.figures import audit_figure
from agents.auditing.search import best_plans
from agents.baselines.untrained import finished_with
from agents.evaluation.formatting import aligned, markdown, number, with_ends
from agents.pictures import write_figure, write_picture
from agents.saved_agent import load_agent
from exposure_env.episode import select
from exposure_env.files import write_whole
from exposure_env.panels import panels
from exposure_env.photos import FolderPhotos, PairedPhotos, Photo, misexposed, sample_photos
from exposure_env.render import storyboard
from exposure_env.rewards import psnr
from exposure_env.task import ExposureTask

SHOWN = 4  # photos whose optimum is drawn


class Report(NamedTuple):
    """Audits of several reward models on the same photos."""

    audits: list[Audit]
    regrets: dict[str, Regret]  # of the agent, by reward model
    task: ExposureTask

    def lines(self) -> list[list[str]]:
        """The headings and the rows of the table."""
        others = list(self.audits[0].correlations)
        head = ["reward", "verdict", "PSNR of its optimum [dB]", "gain [dB]", "misspecification [dB]", "distance",
                "EVs at the limit", "good preferred", "spared by EV", *(f"with {name}" for name in others)]
        rows = [[audit.name, audit.verdict, number(audit.psnr), with_ends(audit.gain),
                 with_ends(audit.misspecification), number(audit.distance, ".4f"), f"{audit.at_limit:.0%}",
                 f"{audit.preferred:.0%}", f"{audit.responses['exposure'].spared:.0%}",
                 *(number(audit.correlations[name]) for name in others)] for audit in self.audits]
        return [head, *rows]

    def regret_lines(self) -> list[list[str]]:
        """The same of the agent's regret."""
        head = ["reward", "agent's PSNR [dB]", "misspecification [dB]", "optimisation error [dB]", "reward missed"]
        return [head, *([name, *map(with_ends, regret)] for name, regret in self.regrets.items())]

    def text(self) -> str:
        """The tables as plain text."""
        return aligned(self.lines()) + ("\n\n" + aligned(self.regret_lines()) if self.regrets else "")

    def write(self, folder: Path) -> list[str]:
        """Writes all files into the folder, which is made, and returns their names."""
        folder.mkdir(parents=True, exist_ok=True)
        tables = markdown(self.lines()) + ("\n\n" + markdown(self.regret_lines()) if self.regrets else "") + "\n"
        write_whole(folder / "audit.md", tables)
        told = {"audits": [audit.plain() for audit in self.audits],
                "regrets": {name: {part: each._asdict() for part, each in regret._asdict().items()}
                            for name, regret in self.regrets.items()}}
        write_whole(folder / "audit.json", json.dumps(told, indent=1) + "\n")
        write_figure(folder / "audit.png", audit_figure(self.audits))
        names = ["audit.md", "audit.json", "audit.png"]
        for audit in self.audits:
            plain = "".join(letter if letter.isalnum() else "_" for letter in audit.name).strip("_")
            names.append(f"optimum_{plain}.png")
            write_picture(folder / names[-1], self._optimum(audit))
        return names

    def _optimum(self, audit: Audit) -> np.ndarray:
        """The last panel of the storyboard of some photos under the plans that a reward likes best."""
        state, shown = start(self.task), []
        for i in np.linspace(0, len(state.step) - 1, min(SHOWN, len(state.step))).astype(int):
            one = select(finished_with(state, audit.plans), [i])
            shown += panels(self.task, one, [(None, None)], scored=False)
        return storyboard(shown)


def audit_all(names: Sequence[str], photos: Path | None, targets: Path | None, most: int, segmenter: str,
              max_segments: int, model: Path | None, others: Sequence[str], seed: int) -> Report:
    """Audits of reward models on the same photos.

    Args:
        names: The reward models; see `rewards.resolve_reward`.
        photos: Folder of good photos, which are exposed wrongly, or with `targets` of the photos as they are; None for
            the sample photos.
        targets: Folder of their good versions.
        most: Photos at most, taken evenly.
        segmenter: What cuts photos into segments.
        max_segments: Largest number of segments.
        model: A run or agent's file, whose regret is measured as well, with its own segments.
        others: Reward models with which all are compared.
        seed: Seed of the misexposure and of random retouches.

    Raises:
        ValueError: If a reward model or a photo makes no sense, or `most` is below 2.
    """
    if most < 2:
        raise ValueError(f"number must be 2 or more photos, not {most}")
    if targets is not None and photos is None:
        raise ValueError("give --photos with --targets")
    if targets is not None:
        pairs: Sequence[Photo] = PairedPhotos(photos, targets)
    elif photos is not None:
        pairs = misexposed(_some(FolderPhotos(photos), most), seed)
    else:
        pairs = sample_photos("test", None)
    agent = None if model is None else load_agent(model)
    pairs = _some(pairs, most)
    task = ExposureTask(pairs, segmenter, max_segments=max_segments) if agent is None else agent.task(pairs)
    state = start(task)
    truth = best_plans(task, state, psnr)
    compared = {name: name for name in others}
    audits = [audit_reward(name, task, compared, seed, truth)._replace(name=name) for name in names]
    regrets = {} if agent is None else {
        audit.name: regret(agent.policy, audit.name, task, truth, finished_with(state, audit.plans))
        for audit in audits}
    return Report(audits, regrets, task)


def _some(photos: Sequence[Photo], most: int) -> list[Photo]:
    return [photos[int(i)] for i in np.unique(np.linspace(0, len(photos) - 1, min(most, len(photos))).astype(int))]
