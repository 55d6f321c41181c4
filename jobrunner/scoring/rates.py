"""Error rates of a test set, each with a 95 % interval.

Rates are corpus-level: all errors over all reference units. There is one for each metric of
`metrics.RATES` in each way of `text.WAYS`. The leading way is `marks`; the leading metric is CER
for languages written without spaces, WER for all others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from jobrunner.errors import DataError
from jobrunner.scoring.intervals import by_cluster, clusters, interval, resampled_rates
from jobrunner.scoring.metrics import RATES, Metric, Unit, leading
from jobrunner.scoring.text import LEADING, WAYS, Way, has_text


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Rate(_Record):
    """Errors over reference units, a ratio (above 1 when much is inserted)."""

    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    substitutions: int
    deletions: int
    insertions: int
    length: int
    """Words or characters of all references."""


class Scores(_Record):
    """The scores of a model on a test set."""

    unit: Unit
    utterances: int
    """Utterances that were scored."""
    empty_references: int
    """Utterances left out because no reference text remains after normalising."""
    empty_hypotheses: int
    """Scored utterances for which the model wrote nothing."""
    resampled: Literal["utterances", "speakers"]
    clusters: int
    """Number of clusters that were resampled."""
    rates: dict[str, dict[str, Rate]]
    """Metric → way → rate."""
    counts: tuple[tuple[int, int], ...] = ()
    """Errors and length of each scored utterance, in the test set's order, by the leading rate."""
    groups: tuple[int, ...] = ()
    """The cluster of each scored utterance."""

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, given: Any) -> Any:
        """Reads results of version 1, which have one field for each of their two metrics."""
        if isinstance(given, Mapping) and "rates" not in given:
            old = {name: given[name] for name in ("wer", "cer") if name in given}
            return {**given, "rates": old}
        return given

    @property
    def metric(self) -> Metric:
        """The leading metric."""
        return leading(self.unit)

    @property
    def lead(self) -> Rate:
        """The rate to look at first."""
        return self.rates[self.metric.name][LEADING.name]

    def rate(self, metric: Metric, way: Way = LEADING) -> Rate | None:
        """One rate; None if the result is older than the metric or the way."""
        return self.rates.get(metric.name, {}).get(way.name)


class Difference(_Record):
    """Change of the leading rate on the same utterances: second minus first, a ratio."""

    value: float
    low: float
    high: float
    improved: float
    """Share of resamples in which the second is better (Bisani and Ney's `poi`)."""

    @property
    def significant(self) -> bool:
        """True if the 95 % interval excludes zero."""
        return self.low > 0 or self.high < 0


def score(
    references: Sequence[str],
    hypotheses: Sequence[str],
    *,
    unit: Unit = "words",
    speakers: Sequence[str] | None = None,
    seed: int = 0,
) -> Scores:
    """Scores a test set.

    Args:
        references: the correct text of each utterance.
        hypotheses: the model's text of each utterance, in the same order.
        unit: unit of errors in the language. With `characters`, CER ignores white space except
            in the raw way, as Whisper's authors do for these languages.
        speakers: name of each utterance's speaker; each empty name is a speaker of its own.
        seed: seed of the bootstrap.

    Raises:
        ValueError: the lists differ in length.
        DataError: no reference has any text.
    """
    if len({len(references), len(hypotheses), len(speakers or references)}) != 1:
        raise ValueError("references, hypotheses and speakers differ in length")
    kept = [i for i, text in enumerate(references) if has_text(text)]
    if not kept:
        raise DataError(
            f"None of {len(references)} utterances has a reference text.",
            hint="Check the transcript column of the test split.",
        )
    said = [references[i] for i in kept]
    written = [hypotheses[i] for i in kept]
    aligned = [_align(said, written, _splitter(metric, way, unit)) for metric, way in _RATES]
    names = [speakers[i] for i in kept] if speakers else []
    resampled, groups = clusters(names, len(kept))
    rows = by_cluster([counts for _, counts in aligned], groups)
    low, high = interval(resampled_rates(rows, seed))
    rates: dict[str, dict[str, Rate]] = {}
    for i, ((metric, way), (totals, counts)) in enumerate(zip(_RATES, aligned, strict=True)):
        rates.setdefault(metric.name, {})[way.name] = Rate(
            value=_value(counts), low=float(low[i]), high=float(high[i]), **totals
        )
    led = _RATES.index((leading(unit), LEADING))
    return Scores(
        unit=unit,
        utterances=len(kept),
        empty_references=len(references) - len(kept),
        empty_hypotheses=sum(not LEADING.normalise(text) for text in written),
        resampled=resampled,
        clusters=len(rows),
        rates=rates,
        counts=tuple(aligned[led][1]),
        groups=tuple(groups),
    )


def paired_difference(first: Scores, second: Scores, *, seed: int = 0) -> Difference:
    """Compares a second model with a first one on the same test set.

    Both are resampled together, so utterances that are hard for both do not widen the interval.

    Raises:
        ValueError: the two do not score the same utterances.
    """
    lengths = [[length for _, length in scores.counts] for scores in (first, second)]
    if first.unit != second.unit or first.groups != second.groups or lengths[0] != lengths[1]:
        raise ValueError("the two results are not of the same utterances")
    rates = resampled_rates(by_cluster([first.counts, second.counts], first.groups), seed)
    change = rates[:, 1] - rates[:, 0]
    low, high = interval(change[:, None])
    return Difference(
        value=_value(second.counts) - _value(first.counts),
        low=float(low[0]),
        high=float(high[0]),
        improved=float((change < 0).mean()),
    )


_RATES: list[tuple[Metric, Way]] = list(product(RATES, WAYS))


def units(text: str, unit: Unit) -> list[str]:
    """The units of a text that the leading rate counts: normalised words or characters."""
    return _splitter(leading(unit), LEADING, unit)(text)


def _splitter(metric: Metric, way: Way, unit: Unit) -> Callable[[str], list[str]]:
    """Returns a function that turns a text into the units to count."""
    cut, spaces = metric.cut, unit == "words" or way.spaces_count
    assert cut is not None
    return lambda text: cut(way.normalise(text), spaces)


def _align(
    said: list[str], written: list[str], split: Callable[[str], list[str]]
) -> tuple[dict[str, int], list[tuple[int, int]]]:
    """Counts of the corpus by kind of error, and (errors, length) of each utterance."""
    import jiwer

    def tokens(texts: list[str]) -> list[list[str]]:
        return [split(text) for text in texts]

    output = jiwer.process_words(
        said, written, reference_transform=tokens, hypothesis_transform=tokens
    )
    counts = [
        (sum(_errors(chunk) for chunk in chunks), len(reference))
        for reference, chunks in zip(output.references, output.alignments, strict=True)
    ]
    totals = {
        "substitutions": output.substitutions,
        "deletions": output.deletions,
        "insertions": output.insertions,
        "length": sum(length for _, length in counts),
    }
    return totals, counts


def _errors(chunk: Any) -> int:
    """Errors in one piece of jiwer's alignment: the longer of its two sides, unless equal."""
    sides = (chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
    return 0 if chunk.type == "equal" else max(sides)


def _value(counts: Sequence[tuple[int, int]]) -> float:
    return sum(errors for errors, _ in counts) / sum(length for _, length in counts)
