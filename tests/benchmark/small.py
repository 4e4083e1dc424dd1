"""Finished cells of a benchmark, made by hand."""

import numpy as np

from agents.benchmark.methods import METHODS


def photo_entry(psnr, evs=(0.0,), true_evs=(0.0,), statistics=(0.5, 0.2, 0.3), name="a"):
    return {"name": name, "num_segments": len(evs), "mse": 1.0, "psnr": psnr, "ssim": 0.5, "evs": list(evs),
            "true_evs": list(true_evs), "areas": [1 / len(evs)] * len(evs), "input_psnr": 15.0,
            "statistics": list(statistics), "target_statistics": [0.5, 0.2, 0.3]}


def cell(method, seed, psnrs, fold=None, learned=None, **results):
    learned = method in METHODS if learned is None else learned
    settings = {"protocol": "misexposed" if fold is None else "fivek", "method": method, "seed": seed, "fold": fold,
                "config": {"total_timesteps": 100} if learned else {}}
    if learned:
        results = {"cpu_seconds": 2.0, "wall_seconds": 3.0, "peak_mb": 400,
                   "curve": [[0, 15.0], [50, float(np.mean([*psnrs] or 15.0))]]} | results
    photos = [photo_entry(value, name=f"{name}{fold}") for name, value in zip("abcdefgh", psnrs, strict=False)]
    return {"settings": settings, "results": results, "photos": photos,
            "experts": [[0.6, 0.2, 0.3], [0.4, 0.3, 0.3]], "max_ev": 3.0}
