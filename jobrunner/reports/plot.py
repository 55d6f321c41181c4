"""An inline SVG: error rates of base and fine-tuned models with their 95 % intervals.

Colours come from the page's CSS variables, so the picture follows its light and dark schemes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from jobrunner.catalog import languages
from jobrunner.reports.format import percent
from jobrunner.scoring.result import Comparison, Result

# All in user units of the picture, which equal pixels at full width.
WIDTH = 880
LEFT = 200
RIGHT = 40
TOP = 12
ROW = 54
AXIS = 44
# Half the height of an interval's end strokes.
CAP = 4
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


def svg(comparisons: Sequence[Comparison]) -> str:
    """One row for each comparison: the base model is hollow, the fine-tuned one filled."""
    highest = max(
        (r.scores.lead.high for c in comparisons for r in (c.base, c.tuned) if r), default=1.0
    )
    step = next((step for step in STEPS if highest / step <= 8), STEPS[-1])
    ticks = [step * i for i in range(int(highest / step) + 2)]
    height = TOP + ROW * len(comparisons) + AXIS
    several = len({comparison.run for comparison in comparisons}) > 1

    def x(ratio: float) -> float:
        return LEFT + ratio / ticks[-1] * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="Error rates of base and fine-tuned models with 95 % intervals">'
    ]
    bottom = height - AXIS
    for tick in ticks:
        at = f"{x(tick):.1f}"
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{at}" y="{bottom + 18}">{_tick(tick)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="tick" x="{middle}" y="{height - 6}">errors, % (lower is better)</text>'
    )
    for row, comparison in enumerate(comparisons):
        y = TOP + ROW * row + ROW / 2
        note = comparison.run if several else comparison.test_set
        parts.append(_labels(comparison, note, y))
        if comparison.base and comparison.tuned:
            pair = (comparison.base, comparison.tuned)
            start, end = (f"{x(result.scores.lead.value):.1f}" for result in pair)
            parts.append(f'<line class="link" x1="{start}" x2="{end}" y1="{y}" y2="{y}"/>')
        for result in (comparison.base, comparison.tuned):
            if result:
                parts.append(_mark(result, [x(v) for v in _ends(result)], y))
    return "\n".join([*parts, "</svg>"])


def _tick(ratio: float) -> str:
    return f"{100 * ratio:.0f}"


def _ends(result: Result) -> tuple[float, float, float]:
    rate = result.scores.lead
    return rate.low, rate.value, rate.high


def _labels(comparison: Comparison, note: str, y: float) -> str:
    metric = comparison.either.scores.metric.label
    name = escape(languages.find(comparison.language).label)
    shown = note if len(note) <= 26 else f"{note[:25]}…"
    return (
        f'<text class="label" x="{LEFT - 14}" y="{y - 3}">{name}</text>'
        f'<text class="note" x="{LEFT - 14}" y="{y + 13}">{metric}, {escape(shown)}</text>'
    )


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
