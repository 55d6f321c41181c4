"""An inline SVG: error rates of base and fine-tuned models with their 95 % intervals.

It is drawn twice, for wide and for narrow screens; the page's style shows one of them. Colours come
from the page's CSS variables, so the picture follows its light and dark schemes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from jobrunner.catalog import languages
from jobrunner.reports.format import percent
from jobrunner.scoring.result import Comparison, Result


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Sizes in user units of the picture, which equal pixels at full width."""

    name: str
    width: int
    left: int
    """Room left of the scale; labels stand in it, if there is any."""
    right: int
    row: int
    """Height of a row."""
    above: int
    """Room above a row's marks for its labels, if they do not stand on the left."""
    characters: int
    """Length at which a label is cut."""
    ticks: int
    """Most steps of the scale."""


WIDE = Layout(name="wide", width=960, left=170, right=30, row=56, above=0, characters=24, ticks=8)
WIDE_WITH_NOTES = replace(WIDE, left=290, characters=42)
NARROW = Layout(
    name="narrow", width=360, left=14, right=22, row=92, above=40, characters=54, ticks=5
)
TOP = 12
AXIS = 44
# Half the height of an interval's end strokes.
CAP = 4
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


def svg(
    comparisons: Sequence[Comparison],
    notes: Mapping[str, str] | None = None,
    layout: Layout = WIDE,
) -> str:
    """One row for each comparison: the base model is hollow, the fine-tuned one filled.

    Args:
        comparisons: the rows, in this order.
        notes: the text that tells a run from the others, by its id.
        layout: sizes.
    """
    highest = max(
        (r.scores.lead.high for c in comparisons for r in (c.base, c.tuned) if r), default=1.0
    )
    step = next((step for step in STEPS if highest / step <= layout.ticks), STEPS[-1])
    ticks = [step * i for i in range(int(highest / step) + 2)]
    height = TOP + layout.row * len(comparisons) + AXIS

    def x(ratio: float) -> float:
        return layout.left + ratio / ticks[-1] * (layout.width - layout.left - layout.right)

    parts = [
        f'<svg class="{layout.name}" viewBox="0 0 {layout.width} {height}" role="img" '
        'aria-label="Error rates of base and fine-tuned models with 95 % intervals">',
        *_scale(ticks, [x(tick) for tick in ticks], height),
    ]
    middle = (layout.left + layout.width - layout.right) / 2
    parts.append(
        f'<text class="tick" x="{middle}" y="{height - 6}">errors, % (lower is better)</text>'
    )
    for row, comparison in enumerate(comparisons):
        top = TOP + layout.row * row
        y = top + layout.above + (layout.row - layout.above) / 2
        parts.append(_labels(comparison, (notes or {}).get(comparison.run, ""), top, layout))
        if comparison.base and comparison.tuned:
            pair = (comparison.base, comparison.tuned)
            start, end = (f"{x(result.scores.lead.value):.1f}" for result in pair)
            parts.append(f'<line class="link" x1="{start}" x2="{end}" y1="{y}" y2="{y}"/>')
        for result in (comparison.base, comparison.tuned):
            if result:
                parts.append(_mark(result, [x(v) for v in _ends(result)], y))
    return "\n".join([*parts, "</svg>"])


def _scale(ticks: Sequence[float], places: Sequence[float], height: int) -> list[str]:
    bottom = height - AXIS
    lines = []
    for tick, place in zip(ticks, places, strict=True):
        at = f"{place:.1f}"
        lines.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{bottom}"/>')
        lines.append(f'<text class="tick" x="{at}" y="{bottom + 18}">{100 * tick:.0f}</text>')
    return lines


def _ends(result: Result) -> tuple[float, float, float]:
    rate = result.scores.lead
    return rate.low, rate.value, rate.high


def _labels(comparison: Comparison, note: str, top: float, layout: Layout) -> str:
    metric = comparison.either.scores.metric.label
    name = escape(languages.find(comparison.language).label)
    lines = [f"{metric} on {comparison.test_set}", note] if note else []
    lines = lines or [f"{metric} on {comparison.test_set}"]
    if layout.above:
        shown = _cut(" · ".join(lines), layout)
        return (
            f'<text class="label" x="{layout.left}" y="{top + 16}">{name}</text>'
            f'<text class="sub" x="{layout.left}" y="{top + 31}">{shown}</text>'
        )
    x, y = layout.left - 14, top + layout.row / 2 - (10 if note else 3)
    subs = "".join(
        f'<text class="sub" x="{x}" y="{y + 15 * place}">{_cut(line, layout)}</text>'
        for place, line in enumerate(lines, 1)
    )
    return f'<text class="label" x="{x}" y="{y}">{name}</text>{subs}'


def _cut(text: str, layout: Layout) -> str:
    most = layout.characters
    return escape(text if len(text) <= most else f"{text[: most - 1]}…")


def _mark(result: Result, ends: list[float], y: float) -> str:
    """An interval with its point, and the value above it (fine-tuned) or below it (base)."""
    low, value, high = (f"{end:.1f}" for end in ends)
    which = result.which
    name, above = ("base model", -20) if which == "base" else ("fine-tuned", 11)
    return (
        f'<g class="{which}"><title>{name}: {percent(result.scores.lead)} %</title>'
        f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
        f'<line x1="{low}" x2="{low}" y1="{y - CAP}" y2="{y + CAP}"/>'
        f'<line x1="{high}" x2="{high}" y1="{y - CAP}" y2="{y + CAP}"/>'
        f'<circle cx="{value}" cy="{y}" r="5.5"/>'
        f'<text x="{value}" y="{y - above}">{100 * result.scores.lead.value:.1f}</text></g>'
    )
