"""What a user waits for: compiling, once after installation, and each import."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from timing import Line

FIRST_CALLS = """
import exposure_env, numpy as np
envs = exposure_env.ExposureVectorEnv(16)
envs.reset(seed=0)
for _ in range(9):
    envs.step(envs.action_space.sample())
photo = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
exposure_env.exposure_fusion(photo, [-1, 1])
labels = np.arange(4096).reshape(64, 64) // 2048
for fusion in ("local", "mask_pyramid", "mertens", "mertens_masked"):
    for dtype in (np.uint8, np.uint16):
        exposure_env.apply_plan(exposure_env.RetouchPlan(labels, [-1.0, 1.0], fusion), photo.astype(dtype))
"""


def first_calls(rounds: int, quick: bool) -> Iterator[Line]:
    """Seconds to compile, and to import. Compiling is measured once, and not at all if quick."""
    if not quick:
        with tempfile.TemporaryDirectory() as cache:
            first, second = (_seconds(FIRST_CALLS, cache) for _ in range(2))
        yield Line("compile_seconds", first - second, "s", "all compiled functions, once after installation")
    nothing = np.median([_seconds("import numpy, gymnasium, cv2") for _ in range(3)])
    imported = np.median([_seconds("import exposure_env") for _ in range(3)])
    yield Line("import_seconds", float(imported), "s", f"NumPy, OpenCV and Gymnasium alone: {nothing:.2f} s")


def _seconds(program: str, cache: str | None = None) -> float:
    """Seconds that a Python program takes, with the user's cache of compiled functions or another."""
    environment = os.environ | ({} if cache is None else {"NUMBA_CACHE_DIR": cache})
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start
