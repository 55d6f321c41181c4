"""Inline SVGs of a training: the loss, and the rate of the validations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

from jobrunner.reports.details import Curve

Points = Sequence[tuple[float, float]]

# In user units of a picture.
WIDTH, HEIGHT = 440, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 20, 34
# Points of a line; more steps are averaged, because a picture of 376 units shows no more.
MOST_POINTS = 150
MOST_MARKS = 40


def curves(curve: Curve) -> str:
    """Two pictures side by side, or one below the other on a narrow screen."""
    pictures = []
    if curve.losses:
        points = averaged(curve.losses)
        last = f"{points[-1][1]:.3g}"
        picture = _picture(
            points, f"{{:{_form(points)}}}".format, f"Loss by step; the last is {last}."
        )
        pictures.append(_figure("Loss, nats a token", picture))
    best = curve.best
    if best:
        metric = curve.metric
        said = f"Validation {metric.label} by step; best {metric.shown(best[1])} at step {best[0]}."
        scale = 100 if metric.ratio else 1
        points = [(step, scale * rate) for step, rate in curve.validations]
        mark = (best[0], scale * best[1])
        picture = _picture(points, f"{{:{_form(points)}}}".format, said, best=mark)
        unit = ", %" if metric.ratio else ""
        pictures.append(_figure(f"{metric.label} on the validation split{unit}", picture))
    return f'<div class="curves">{"".join(pictures)}</div>' if pictures else ""


def averaged(points: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """The points, or means of neighbours if there are more than a picture can show."""
    size = math.ceil(len(points) / MOST_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups]


def _figure(title: str, picture: str) -> str:
    return f"<figure><figcaption>{title}</figcaption>{picture}</figure>"


def _form(points: Points) -> str:
    """Format of the scale's values: as many decimals as tell them apart."""
    span = max(y for _, y in points) - min(y for _, y in points)
    return ".0f" if span >= 5 else ".1f" if span >= 0.5 else ".3g"


def _picture(
    points: Points,
    form: Callable[[float], str],
    said: str,
    *,
    best: tuple[float, float] | None = None,
) -> str:
    """One line through points, with scales.

    Args:
        points: step and value.
        form: turns a value of the scale into text.
        said: the picture in words.
        best: the point to emphasise; points are marked if there is one.
    """
    lowest, highest = min(y for _, y in points), max(y for _, y in points)
    ticks = _ticks(lowest, highest)
    low, high = min(ticks[0], lowest), max(ticks[-1], highest)
    end = max(x for x, _ in points)

    def x(step: float) -> float:
        return LEFT + step / end * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">']
    for tick in ticks:
        at = f"{y(tick):.1f}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(
            f'<text class="tick left" x="{LEFT - 8}" y="{y(tick) + 4:.1f}">{form(tick)}</text>'
        )
    for tick in _ticks(0, end):
        if tick <= end:
            text = f"{tick:,.0f}" if tick else "step 0"
            parts.append(
                f'<text class="tick" x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 20}">{text}</text>'
            )
    line = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points)
    parts.append(f'<polyline class="line" points="{line}"/>')
    if best:
        parts += [
            f'<circle cx="{x(step):.1f}" cy="{y(value):.1f}" r="3"/>'
            for step, value in points
            if len(points) <= MOST_MARKS
        ]
        place = (
            f'x="{x(best[0]):.1f}" y="{y(best[1]) - 10:.1f}" text-anchor="{_anchor(best[0], end)}"'
        )
        parts.append(
            f'<circle class="best" cx="{x(best[0]):.1f}" cy="{y(best[1]):.1f}" r="4.5"/>'
            f'<text class="value" {place}>{best[1]:.1f}</text>'
        )
    return "".join([*parts, "</svg>"])


def _anchor(step: float, end: float) -> str:
    return "end" if step > 0.9 * end else "start" if step < 0.1 * end else "middle"


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round values between two, and one beyond either end."""
    span = high - low or abs(high) or 1.0
    unit = 10 ** math.floor(math.log10(span / 4))
    step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * place for place in range(first, max(last, first + 1) + 1)]
