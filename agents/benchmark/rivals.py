"""The rivals of the benchmark: systems after other papers, from photo to photo, trained on the same photographs."""

import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from agents.baselines.regression import FreshPairs
from agents.benchmark.splits import Split
from agents.benchmark.trials import Trial, run_fitted
from agents.benchmark.yardsticks import fresh_pairs, paired_inputs
from agents.rivals.crops import Crops, Retouch
from agents.rivals.cyclegan import fit_cyclegan
from agents.rivals.deep_guided_filter import fit_deep_guided_filter
from agents.rivals.deep_photo_enhancer import fit_deep_photo_enhancer
from agents.rivals.dped import fit_dped
from agents.rivals.exposure import fit_exposure
from agents.rivals.wespe import fit_wespe


class Rival(NamedTuple):
    """A rival, and what it learns from."""

    fit: Callable[..., Retouch]  # takes its source or sources of photos, num_photos, seed, device, look
    learns: Literal["unpaired", "pairs"]  # from `Crops` of inputs and `Crops` of experts, or from one `FreshPairs`

    @property
    def settings(self) -> dict[str, Any]:
        """The defaults of everything that `fit` can be told, besides the photos and how many."""
        given = ("num_photos", "seed", "device", "look")
        return {name: each.default for name, each in inspect.signature(self.fit).parameters.items()
                if each.kind is each.KEYWORD_ONLY and name not in given}


RIVALS = {  # one of `METHODS` each; a step is a photo
    "Exposure": Rival(fit_exposure, "unpaired"),
    "CycleGAN": Rival(fit_cyclegan, "unpaired"),
    "DPED": Rival(fit_dped, "pairs"),
    "WESPE": Rival(fit_wespe, "unpaired"),
    "DPE": Rival(fit_deep_photo_enhancer, "unpaired"),
    "DGF, paired": Rival(fit_deep_guided_filter, "pairs"),
}


def sources(trial: Trial) -> tuple[Crops, Crops] | tuple[FreshPairs]:
    """What a rival learns from; targets are removed from what is unpaired."""
    if RIVALS[trial.method].learns == "pairs":
        return (fresh_pairs(paired_inputs(trial), trial),)
    return unpaired(trial.split, trial.task.config.size, trial.config.seed)


def unpaired(split: Split, size: int, seed: int) -> tuple[Crops, Crops]:
    """Crops of the inputs and of the experts' photos, with seeds of their own: the two must not go together."""
    inputs, experts = (Crops([photo.image for photo in photos], size, [seed, which])
                       for which, photos in enumerate((split.inputs, split.experts)))
    return inputs, experts


def run_rival(trial: Trial) -> dict[str, Any]:
    """Trains and tests a rival; see `trials.run_fitted`."""
    config = trial.config
    return run_fitted(trial, lambda photo: photo, lambda look: RIVALS[trial.method].fit(
        *sources(trial), num_photos=config.total_timesteps, seed=config.seed, device=config.device, look=look))
