"""The metrics of a model: a table that reports, pages, cards, history and progress loop over.

A new metric of recognition is a row here, with the rule that cuts a text into the units it counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Unit = Literal["words", "characters"]


def _words(text: str, spaces: bool) -> list[str]:
    return text.split()


def _characters(text: str, spaces: bool) -> list[str]:
    return list((" " if spaces else "").join(text.split()))


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number that judges a model."""

    name: str
    """Name in records, in labels of Prometheus metrics, and in the history."""
    label: str
    """Label for people."""
    description: str
    """One sentence for readers who do not know the metric."""
    unit: Unit | None = None
    """Unit of its errors; None for a metric that does not compare texts."""
    cut: Callable[[str, bool], list[str]] | None = None
    """Cuts a normalised text into the units it counts; the flag says whether spaces count."""
    direction: Literal["lower", "higher"] = "lower"
    """Direction of better values."""
    ratio: bool = False
    """True for a share, which is shown in %."""

    def better(self, value: float, other: float) -> bool:
        """True if the value is better than the other."""
        return value < other if self.direction == "lower" else value > other

    def shown(self, value: float) -> str:
        """The value as text for people: `13.4%`, or `2.317`."""
        return f"{100 * value:.1f}%" if self.ratio else f"{value:.3f}"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="wer",
            label="WER",
            description="the share of words that are wrong, left out or added; it can pass 100 %",
            unit="words",
            cut=_words,
            ratio=True,
        ),
        Metric(
            name="cer",
            label="CER",
            description="the same share of characters; it leads for languages that are written "
            "without spaces",
            unit="characters",
            cut=_characters,
            ratio=True,
        ),
        Metric(name="loss", label="loss", description="the mean loss, in nats"),
        Metric(name="perplexity", label="perplexity", description="the exponential of the loss"),
    )
}
# Metrics that compare a hypothesis with a reference, in the order of reports.
RATES: tuple[Metric, ...] = tuple(metric for metric in METRICS.values() if metric.cut)


def leading(unit: Unit) -> Metric:
    """The metric to look at first for languages counted in this unit."""
    return next(metric for metric in RATES if metric.unit == unit)
