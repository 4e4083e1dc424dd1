"""The results of the benchmark's cells, drawn."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from agents.benchmark.methods import METHODS
from agents.benchmark.tables import MethodRun


def figure(finished: Sequence[MethodRun]) -> Figure:
    """The learning curves, and the perception-distortion trade-off (Blau and Michaeli 2018).

    Left: PSNR against exposures tried, a thin line for each seed, a thick one for their mean, a horizontal one for each
    baseline. Right: nearness to each photo's target against nearness to the experts' photos as a set, a dot for each
    run, a cross for each baseline.
    """
    drawn = Figure(figsize=(12, 5.2), layout="constrained")
    curves, plane = drawn.subplots(1, 2)
    methods = list(dict.fromkeys(run.method for run in finished))
    learners = list(dict.fromkeys(run.method for run in finished if run.learned))
    baselines = [method for method in methods if method not in learners]
    places = list(dict.fromkeys([*METHODS, *learners]))
    for method in methods:
        group = [run for run in finished if run.method == method]
        points = [(run.results["distance"], run.gain) for run in group]
        if method in learners:
            bright, place = divmod(places.index(method) % 20, 10)
            color = colormaps["tab20"].colors[2 * place + bright]  # ten colours, then their light versions
            lines = [np.array(run.results["curve"]) for run in group]
            for line in lines:
                curves.plot(*line.T, color=color, linewidth=0.6, alpha=0.5)
            if len({line.shape for line in lines}) == 1:
                curves.plot(*np.mean(lines, axis=0).T, color=color, linewidth=2.2, label=method)
            plane.scatter(*zip(*points, strict=True), color=color, s=28, label=method)
        else:
            shade = str(0.6 * baselines.index(method) / max(len(baselines) - 1, 1))
            style = ("-", "--", "-.", ":")[baselines.index(method) % 4]
            level = float(np.mean([run.results["psnr"] for run in group]))  # of several runs of an agent of one's own
            curves.axhline(level, color=shade, linestyle=style, linewidth=0.9, label=method)
            plane.scatter(*zip(*points, strict=True), color=shade, marker="x", s=36)
            plane.annotate(method, points[0], xytext=(5, 4), textcoords="offset points", fontsize="x-small")
    if finished:
        plane.axvline(finished[0].results["target_distance"], color="grey", linestyle=":", linewidth=0.9)
        plane.annotate("the targets themselves", (finished[0].results["target_distance"], 0.02), rotation=90,
                       xycoords=("data", "axes fraction"), xytext=(3, 0), textcoords="offset points",
                       fontsize="x-small", color="grey")
    curves.set(xlabel="exposures tried", ylabel="PSNR of the test photos [dB]", title="Learning curves")
    plane.set(xlabel="distance to the experts' photos as a set (left is better)",
              ylabel="gain in PSNR over the untouched photo [dB]", title="Near each target, near the experts' style")
    if methods:
        curves.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    if learners:
        plane.legend(fontsize="x-small")
    plane.margins(0.15)
    for axes in (curves, plane):
        axes.grid(alpha=0.3)
    return drawn
