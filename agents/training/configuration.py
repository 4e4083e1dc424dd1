"""Everything that a training depends on, except the photos; importing this does not load Torch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from agents.method import MOST, Method, Ranges


@dataclass(frozen=True)
class TrainConfig(Method):
    """Everything that a training run depends on, except the photos: the method's settings, and the following.

    The defaults are a small version of the paper's network on all planes together, without a warm start.
    """

    RANGES: ClassVar[Ranges] = Method.RANGES | {
        # what memory depends on: no more than a large machine has
        "num_envs": (1, 2**16), "width": (1, 1024), "halvings": (0, 8), "max_segments": (1, 4096), "max_ev": (0.01, 32),
        "discriminator_batch_size": (1, 2**16), "pool_size": (1, 2**20),
        # the others
        "total_timesteps": (1, 10**15), "seed": (0, 2**32 - 1), "checkpoint_every": (1, MOST),
        "snapshots": (0, 10_000),
        "learning_rate": (0, MOST), "critic_learning_rate": (0, MOST), "discriminator_learning_rate": (0, MOST),
        "exploration": (0, MOST), "n_critic": (1, MOST), "warm_up": (0, MOST), "gradient_penalty": (0, MOST),
        "drift": (0, MOST), "pooled": (0, 1), "unfinished": (0, 1), "misexposed": (0, 1),
        "misexposed_local": (0, MOST), "fresh": (0, 2**20), "fresh_ev": (0, MOST), "fresh_local": (0, MOST),
    }  # fmt: skip

    # Settings of the method with other defaults
    critic_steps: int = 8  # steps of the critic (forms I and q) per update, each on its share of the episodes
    shaping: bool = True  # whether the score of the image so far is a shaping potential for the critic
    ev_penalty: float = 1.2  # pull towards small exposures [score/stop^2]: a shyer agent that is less often wrong

    total_timesteps: int = 40_000  # exposures to try; a photo of six segments takes six
    seed: int = 0  # random seed; on a CPU the same seed gives the same weights
    device: str = "auto"  # "cpu", "cuda", or "auto": a GPU if there is one
    checkpoint_every: int = 25  # updates between two checkpoints, from which an interrupted run can resume
    snapshots: int = 0  # agents kept as they were over the training, for `exposure show --training`

    # The task; see `exposure_env.settings.TaskConfig`
    task_preset: Literal["recommended", "paper"] = "recommended"  # defaults of the task, see exposure_env/settings.py
    segmenter: Literal["felzenszwalb", "luminance_bands", "slic"] = "felzenszwalb"  # what cuts a photo into segments
    max_segments: int = 6  # largest number of segments in a photo
    max_ev: float | None = None  # largest exposure, up or down [stops]; None: the task preset's
    fusion: str | None = None  # rendering of the result, see exposure_env/fusion.py; None: the task preset's
    reward_image: Literal["fused", "local", "both"] | None = None  # image that is scored; None: the task preset's
    space: Literal["linear", "encoded"] | None = None  # values that an exposure multiplies; None: the task preset's
    planes: Literal["full", "paper"] | None = None  # what the agent sees: 12 planes or 9; None: the task preset's
    num_envs: int = 64  # photos retouched at once

    # The actor
    actor: Literal["planes", "segments"] = "planes"  # the paper's network, or one that looks at segments
    learning_rate: float = 2e-4  # initial learning rate of the actor
    learning_rate_decay: float = 0.05  # the actor's rate decays exponentially to this fraction
    critic_learning_rate: float = 2e-3  # initial learning rate of the critic
    critic_learning_rate_decay: float = 0.05  # the critic's rate decays exponentially to this fraction
    noise: Literal["ou", "gaussian"] = "ou"  # exploration noise: Ornstein-Uhlenbeck, or independent at each step
    exploration: float = 0.03  # sigma of the exploration noise, in actions
    adam_betas: tuple[float, float] = (0.5, 0.9)  # betas of Adam, for the actor and the critic
    width: int = 16  # channels of the first convolution in all networks
    halvings: int = 1  # how many times the 64 px planes are halved before they enter the networks

    # Fresh photos; see exposure_env/photos/fresh.py
    # Versions of each input and demonstration, cropped, mirrored and, unless the reward needs targets, exposed wrongly
    # once more; 0 for photos as they are
    fresh: int = 0
    fresh_scales: tuple[float, float] = (0.75, 1.0)  # smallest and largest crops, of inputs and experts' photos
    # how demonstrations are exposed wrongly
    degradation: Literal["uneven", "backlit", "mixed", "dim", "dark"] = "uneven"
    fresh_ev: float = 1.0  # largest EV, up or down, by which inputs are misexposed again [stops]
    fresh_local: float = 0.5  # standard deviation of the local EV map by which they are [stops]

    # the reward: a discriminator that learns, or "psnr", a yardstick that needs photos with targets
    reward: Literal["discriminator", "psnr"] = "discriminator"
    discriminator_learning_rate: float = 5e-4  # initial learning rate of the discriminator
    discriminator_learning_rate_decay: float = 0.05  # the discriminator's rate decays exponentially to this fraction
    discriminator_loss: Literal["wgan-gp", "relativistic"] = "wgan-gp"  # the paper's (eq. 12), or R3GAN's (R1 and R2)
    spectral_norm: bool = False  # limit the discriminator's layers to a spectral norm of 1
    discriminator_batch_size: int = 64  # real images, and as many fakes, in a discriminator step
    n_critic: int = 5  # discriminator steps per update of the actor
    warm_up: int = 30  # discriminator steps before the actor's first update
    gradient_penalty: float = 10.0  # weight of the penalty on the discriminator's slope (eq. 12)
    one_sided: bool = True  # whether only slopes above 1 are penalised, not those below
    drift: float = 1e-3  # weight of the penalty on the mean squared score of real photos
    contrast: Literal["variance", "std"] = "std"  # the discriminator's contrast statistic: variance or std of luminance
    pooled: float = 0.25  # fraction of fakes taken from earlier rollouts
    pool_size: int = 2048  # number of images remembered from earlier rollouts
    unfinished: float = 0.0  # fraction of fakes that are images of unfinished episodes
    misexposed: float = 0.5  # fraction of fakes that are misexposed experts' photos
    misexposed_range: tuple[float, float] = (-2.5, 2.5)  # lowest and highest EV of misexposed experts' photos [stops]
    misexposed_local: float = 0.0  # standard deviation of the local EV map of these photos [stops]


# The policy that looks at segments: it first learns to undo misexposures of experts' photos, then plays the game, and
# stays near to what it then is. So it knows what each photo needs, and the discriminator need only tell whether its
# results are like the experts' photos as a set: misexposed ones among the fakes would pull them all to one brightness.
_SEGMENTS = TrainConfig(
    actor="segments", segmenter="slic", max_segments=8, fresh=4, fresh_scales=(0.9, 1.0), degradation="mixed",
    warm_start=900, reference_penalty=10.0, ev_penalty=0.0, penalised="map", batch_size=4, num_envs=32,
    learning_rate=3e-4, shaping=False, critic_steps=2, warm_up=100, discriminator_batch_size=32, misexposed=0.0,
    total_timesteps=30_000,
)  # fmt: skip
PRESETS = {
    # Of few scenes a discriminator soon knows too much: nearer to the warm start, more kinds of crops, and it must see
    # what a wrong exposure is
    "quick": replace(_SEGMENTS, degradation="uneven", warm_start=300, reference_penalty=150.0, learning_rate=1e-4,
                     misexposed=0.5, misexposed_local=1.0, fresh_scales=(0.6, 1.0), total_timesteps=6_000),
    "recommended": _SEGMENTS,
    "planes": TrainConfig(ev_penalty=1.0),
    "paper": TrainConfig(
        total_timesteps=9_000_000, task_preset="paper", max_segments=8, num_envs=64, learning_rate=1.5e-5,
        learning_rate_decay=1e-3, batch_size=8, value_image="next", reset_noise=False, ev_penalty=0.0,
        critic_learning_rate=5e-5, critic_learning_rate_decay=1e-2, critic_steps=1, td_lambda=0.0, shaping=False,
        width=32, halvings=0, discriminator_learning_rate=5e-5, discriminator_learning_rate_decay=1e-3,
        discriminator_batch_size=8,
        warm_up=100, one_sided=False, drift=0.0, contrast="variance", pooled=1.0, misexposed=0.0,
    ),
}


def config_of(settings: dict[str, Any]) -> TrainConfig:
    """The configuration with these fields, as read from JSON, with lists in place of tuples.

    Raises:
        ValueError: If a field is of another type or out of range: in particular, a reward that isn't one of the names
            in `TrainConfig` is never imported.
        TypeError: If there is no such field.
    """
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    config = TrainConfig(**given)
    config.check()
    return config


def task_settings(config: TrainConfig) -> dict:
    """The task's settings that a configuration overrides in the task's preset."""
    named = {name: getattr(config, name) for name in ("max_ev", "fusion", "reward_image", "space", "planes")}
    return {"max_segments": config.max_segments} | {name: it for name, it in named.items() if it is not None}


def decay(start: float, fraction: float) -> Callable[[float], float]:
    """A schedule that decays exponentially from `start` to `fraction` of it as the remaining progress falls to 0."""
    return lambda remaining: start * fraction ** (1 - remaining)
