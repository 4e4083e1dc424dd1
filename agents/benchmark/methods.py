"""What each protocol and each method changes in the shared configuration."""

from typing import Any

PROTOCOLS: dict[str, dict[str, Any]] = {  # what each protocol changes in the preset
    "misexposed": {},
    # So few pairs teach little more than one EV for all photos, and only in a short training.
    "fivek": {"total_timesteps": 12_000, "ev_prior": "mean", "ev_penalty": 4.0, "learning_rate": 5e-4,
              "misexposed": 0.25},
}
METHODS: dict[str, dict[str, Any]] = {  # what each learner changes in the shared configuration
    "paired": {"value": "pathwise", "reward": "psnr", "max_slope": 4.0, "ev_penalty": 0.0, "learning_rate": 1e-3},
    "pathwise": {"value": "pathwise"},
    "I": {"value": "critic"},
    "II": {"value": "discriminator"},
    "q": {"value": "q"},
    "ddpg": {},
    "td3": {},
    # Run only if named: the knob of the perception-distortion trade-off, what shaping is worth, a long budget
    **{f"II, penalty {weight}": {"value": "discriminator", "ev_penalty": weight} for weight in (0.1, 0.3, 3.0)},
    "I, no shaping": {"value": "critic", "shaping": False},
    **{f"{form}, long": {"value": value, "total_timesteps": 120_000}
       for form, value in {"I": "critic", "II": "discriminator"}.items()},
}
MAIN = ("paired", "pathwise", "I", "II", "q", "ddpg", "td3")  # run by default
OFF_POLICY: dict[str, dict[str, Any]] = {  # further arguments of `build_off_policy`
    # A step takes 64 transitions, so each is learned from two or three times. Without a potential, or with critics no
    # faster than the actor, both run into the EV limit at once; with them they overshoot, and mostly recover late.
    "ddpg": {"gradient_steps": 16, "shaping": True, "noise": "gaussian"},
    "td3": {"gradient_steps": 16, "shaping": True, "noise": "gaussian", "policy_delay": 16},
}
BASELINES = {  # each with the protocols that have it
    "identity": ("misexposed", "fivek"),
    "constant EV": ("misexposed", "fivek"),
    "constant EV on the test": ("fivek",),
    "auto-exposure": ("misexposed", "fivek"),
    "fixed bracket": ("misexposed", "fivek"),
    "best single EV": ("misexposed", "fivek"),
    "oracle": ("misexposed", "fivek"),
}
