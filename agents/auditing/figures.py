"""The audit, drawn: what rewards respond to, and where their optima lie."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from agents.auditing.audit import CHANGES, NEUTRAL, Audit

UNITS = {"exposure": "exposure of experts' photos [stops]", "contrast": "contrast [factor]",
         "saturation": "saturation [factor]", "blur": "blur, sigma [px]", "noise": "noise, standard deviation"}


def audit_figure(audits: Sequence[Audit]) -> Figure:
    """One panel for each change of experts' photos, and one for the optima: gain against misspecification.

    Args:
        audits: One or more.
    """
    drawn = Figure(figsize=(13, 7), layout="constrained")
    panels = drawn.subplots(2, 3).flat
    colours = colormaps["tab10"].colors
    for panel, how in zip(panels, CHANGES, strict=False):
        for i, audit in enumerate(audits):
            response = audit.responses[how]
            panel.plot(response.amounts, response.scores, color=colours[i % 10], marker=".",
                       label=audit.name)
        panel.axvline(NEUTRAL[how], color="grey", linewidth=0.8, linestyle=":")
        panel.set(xlabel=UNITS[how], ylabel="score minus the photo's own [sd]")
        panel.grid(alpha=0.3)
    last = drawn.axes[len(CHANGES)]
    places = np.arange(len(audits))
    last.barh(places + 0.2, [audit.gain.mean for audit in audits], 0.38, color="#4c8c4a", label="gain of its optimum")
    last.barh(places - 0.2, [audit.misspecification.mean for audit in audits], 0.38, color="#b3452c",
              label="misspecification")
    last.set_yticks(places, [audit.name for audit in audits], fontsize="small")
    last.axvline(0, color="black", linewidth=0.8)
    last.invert_yaxis()
    last.set(xlabel="PSNR [dB]", title="If an agent obeyed perfectly")
    last.legend(fontsize="x-small", loc="upper right")
    last.grid(alpha=0.3, axis="x")
    handles, labels = drawn.axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside upper center", ncols=min(len(audits), 5), fontsize="small")
    return drawn
