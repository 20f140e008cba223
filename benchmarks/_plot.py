"""A picture of a run: horizontal bars on logarithmic scales, as SVG written by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Panel", "draw"]

_WIDTH, _LABEL, _ROW, _HEAD, _FIGURE = 860, 250, 22, 44, 80
_OURS, _OTHER = "#0b7a5c", "#9aa5b1"


@dataclass(frozen=True, slots=True)
class Panel:
    """One scale with its bars.

    Attributes:
        title: What is shown, with its unit.
        bars: Label, value above 0, and whether it is this library's.
    """

    title: str
    bars: Sequence[tuple[str, float, bool]]

    @property
    def height(self) -> int:
        """Pixels it needs."""
        return _HEAD + _ROW * len(self.bars) + 12


def draw(panels: Sequence[Panel], caption: str) -> str:
    """Return the SVG of all panels, one below the other."""
    height = sum(panel.height for panel in panels) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
        "<style>text { font-size: 13px } text.small { font-size: 10px }</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    top = 0
    for panel in panels:
        parts += _panel(panel, top)
        top += panel.height
    parts.append(f'<text x="12" y="{top + 12}" class="small" fill="#555">{escape(caption)}</text></svg>')
    return "\n".join(parts) + "\n"


def _panel(panel: Panel, top: int) -> list[str]:
    room = _WIDTH - _LABEL - _FIGURE
    low = math.log10(min(value for _, value, _ in panel.bars)) - 0.2
    high = math.log10(max(value for _, value, _ in panel.bars))
    parts = [f'<text x="12" y="{top + 26}" font-weight="bold">{escape(panel.title)}</text>']
    for row, (label, value, ours) in enumerate(panel.bars):
        y = top + _HEAD + row * _ROW
        width = room * (math.log10(value) - low) / (high - low)
        parts += [
            f'<text x="{_LABEL - 8}" y="{y + 12}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{_LABEL}" y="{y}" width="{width:.1f}" height="15" fill="{_OURS if ours else _OTHER}"/>',
            f'<text x="{_LABEL + width + 6:.1f}" y="{y + 12}">{value:,.4g}</text>',
        ]
    return parts
