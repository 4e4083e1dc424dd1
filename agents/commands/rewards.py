"""The commands `exposure audit`, `check-reward` and `learn-preferences`: rewards, judged and learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]
OTHERS = ("psnr", "ssim", "ciede2000", "well_exposedness", "entropy", "colourfulness", "mean_luminance",
          "sliced_wasserstein")


@dataclass(frozen=True)
class AuditReward:
    """Audit reward models: what their optima look like, what they respond to, and what an agent misses.

    A reward is a name, "module:attribute", the path of a run or of a reward.safetensors, or
    "process:/path/to/python module:attribute". The plans that each likes best are searched for nearly exactly. Their
    true PSNR says how far the reward is to be trusted: the misspecification is what a perfectly obedient agent loses.
    """

    rewards: tyro.conf.Positional[tuple[str, ...]]  # reward models; with none, all that are shipped
    photos: Folder = None  # good photos, which are exposed wrongly, or with --targets as they are; else samples
    targets: Folder = None  # folder of their good versions, under the same file names
    number: int = 60  # photos at most
    segmenter: str = "slic"  # what cuts photos into segments
    max_segments: int = 8  # largest number of segments
    model: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None  # an agent whose regret is split, too
    out: Folder = None  # folder for audit.md, audit.json, audit.png and a storyboard of each optimum; none by default
    seed: int = 0  # seed of the misexposure and of random retouches

    def run(self) -> int:
        """Prints the tables, and writes the files."""
        from agents.auditing.report import audit_all

        names = self.rewards or (*OTHERS, "discriminator")
        report = audit_all(names, self.photos, self.targets, self.number, self.segmenter, self.max_segments, self.model,
                           OTHERS[:6], self.seed)
        print(report.text())
        if self.out is not None:
            print(f"\nIn {self.out}: {', '.join(report.write(self.out))}")
        return 0


@dataclass(frozen=True)
class CheckReward:
    """Judge whether a reward model keeps to its contract, and prefers experts' photos to badly exposed ones."""

    reward: tyro.conf.Positional[str]  # a name, "module:attribute", a run or file, or "process:python module:attribute"
    photos: Folder = None  # good photos, five or more; the sample experts' by default

    def run(self) -> int:
        """Prints the report; the exit status is 1 if there is a fault."""
        from agents.rewards.checking import check_reward_model
        from exposure_env.photos import FolderPhotos

        photos = None if self.photos is None else FolderPhotos(self.photos)
        report = check_reward_model(self.reward, photos, strict=False)
        print(report.text())
        return 0 if report.passed else 1


@dataclass(frozen=True)
class LearnPreferences:
    """Learn a reward model from the answers that `exposure prefer` has recorded."""

    answers: tyro.conf.Positional[Path]  # the folder
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("reward.safetensors")  # file to write
    members: int = 4  # networks, whose disagreement says how little they know
    drop_contradictions: bool = False  # leave out pairs that one judge has decided both ways, instead of refusing
    seed: int = 0

    def run(self) -> int:
        """Writes the reward model, and prints how far it agrees with answers that it has not seen."""
        from agents.rewards.preferences import PreferenceFolder, agreement, fit_preferences
        from agents.rewards.saved import save_reward

        answers = PreferenceFolder(self.answers).read("drop" if self.drop_contradictions else "refuse")
        kept = len(answers) // 5
        settings = {"members": self.members, "seed": self.seed}
        if kept >= 5:
            judged = agreement(fit_preferences(answers[kept:], **settings), answers[:kept])
            print(f"Learned from {len(answers) - kept} of {len(answers)} answers, it gives {judged:.0%} of the other "
                  f"{kept}.")
        reward = fit_preferences(answers, **settings)
        save_reward(self.out, [member.network for member in reward.members], "preferences")
        print(f"Learned from all {len(answers)} answers: {self.out}\nTry it: exposure audit {self.out}")
        return 0
