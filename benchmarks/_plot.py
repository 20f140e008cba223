"""A picture of a run: horizontal bars on logarithmic scales, as SVG that is readable on light and on dark pages."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["Panel", "draw"]

_OURS, _OTHER, _TEXT = "#139b74", "#98a2ad", "#7b838c"
"""The text has a contrast of about 4 to white as well as to black."""
_WIDTH, _ROW, _HEAD = 9.0, 0.3, 0.45
"""Inches."""
_WHOLE = 100


@dataclass(frozen=True, slots=True)
class Panel:
    """One scale with its bars.

    Attributes:
        title: What is shown, with its unit.
        bars: Label, value, and whether it is this library's; a value of 0 has no bar on a logarithmic scale.
    """

    title: str
    bars: Sequence[tuple[str, float, bool]]


def draw(panels: Sequence[Panel], caption: str) -> str:
    """Return the SVG of all panels, one below the other; the same figures give the same bytes.

    Args:
        panels: What to draw; each has a bar.
        caption: Shown below, small.
    """
    # Not imported before it is needed: matplotlib takes longer than what some benchmarks measure.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells when it builds its cache of fonts
    figures: Any = import_module("matplotlib.figure")
    matplotlib: Any = import_module("matplotlib")
    sizes = [len(panel.bars) for panel in panels]
    settings = {"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.family": "sans-serif", "font.size": 10}
    with matplotlib.rc_context({**settings, "text.color": _TEXT, "ytick.color": _TEXT}):
        figure = figures.Figure(figsize=(_WIDTH, _ROW * sum(sizes) + _HEAD * len(panels)), layout="constrained")
        rows = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": sizes})
        for (axes,), panel in zip(rows, panels, strict=True):
            _draw(axes, panel)
        figure.supxlabel(f"Logarithmic scales. {caption}", fontsize=7, x=0.01, ha="left")
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _figure(value: float) -> str:
    """Return a figure with three digits that count, or all that it has before the point."""
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.3g}"


def _draw(axes: Any, panel: Panel) -> None:
    bars = list(reversed(panel.bars))  # matplotlib draws from below
    values = [value for _, value, _ in bars]
    least, most = min(value for value in values if value > 0), max(values)
    drawn = axes.barh(range(len(bars)), values, color=[_OURS if ours else _OTHER for _, _, ours in bars], height=0.7)
    axes.bar_label(drawn, [_figure(value) for value in values], padding=4, fontsize=9)
    axes.set_yticks(range(len(bars)), [label.replace("`", "") for label, _, _ in bars])
    axes.set_xscale("log")
    axes.set_xlim(least / 2, most * (most / least * 2) ** 0.15)  # room for the figure behind the longest bar
    axes.set_title(panel.title, loc="left", fontweight="bold", fontsize=11)
    axes.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
