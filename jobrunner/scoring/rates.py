"""Word and character error rates of a test set, each with a 95 % interval.

Rates are corpus-level: all errors over all reference units. They are given three ways (see
`scoring.text`); the way that leads is `marks`, and the metric that leads is CER for languages
written without spaces, WER for all others.

Intervals are percentile bootstrap intervals over utterances (Bisani and Ney 2004, "Bootstrap
estimates for confidence intervals in ASR performance evaluation", ICASSP). Utterances of one
speaker are not independent, so speakers are resampled whole where there are enough of them (Liu
et al. 2020, "Statistical testing on ASR performance via blockwise bootstrap", Interspeech).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from jobrunner.errors import DataError
from jobrunner.scoring.text import NORMALISERS, Way

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Unit = Literal["words", "characters"]
Metric = Literal["wer", "cer"]

RESAMPLES = 1000
CONFIDENCE = 0.95
# With fewer clusters a cluster bootstrap gives intervals that are too narrow (Cameron, Gelbach
# and Miller 2008), down to none at all with one speaker.
FEWEST_SPEAKERS = 10
# Random numbers drawn at a time: 16 MB, whatever the size of the test set.
_DRAWS = 2_000_000


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


class Ways(_Record):
    """One metric, normalised three ways."""

    raw: Rate
    marks: Rate
    basic: Rate


class Scores(_Record):
    """What a model scores on a test set."""

    unit: Unit
    utterances: int
    """Utterances that were scored."""
    empty_references: int
    """Utterances left out because no reference text remains after normalising."""
    empty_hypotheses: int
    """Scored utterances for which the model wrote nothing."""
    resampled: Literal["utterances", "speakers"]
    clusters: int
    """How many of them there are."""
    wer: Ways
    cer: Ways
    counts: tuple[tuple[int, int], ...] = ()
    """Errors and length of each scored utterance, in the test set's order, by the leading rate."""
    groups: tuple[int, ...] = ()
    """The cluster of each scored utterance."""

    @property
    def metric(self) -> Metric:
        """The metric that leads."""
        return "cer" if self.unit == "characters" else "wer"

    @property
    def lead(self) -> Rate:
        """The rate to look at first."""
        return self.cer.marks if self.unit == "characters" else self.wer.marks


class Difference(_Record):
    """How the leading rate changed on the same utterances: second minus first, a ratio."""

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
        references: what was said, one text per utterance.
        hypotheses: what the model wrote, in the same order.
        unit: what the language is counted in. With `characters`, CER ignores white space except
            in the raw way, as Whisper's authors do for these languages.
        speakers: who speaks, per utterance; an empty name is somebody else each time.
        seed: of the bootstrap.

    Raises:
        ValueError: the lists differ in length.
        DataError: no reference has any text.
    """
    if len({len(references), len(hypotheses), len(speakers or references)}) != 1:
        raise ValueError("references, hypotheses and speakers differ in length")
    kept = [i for i, text in enumerate(references) if _has_text(text)]
    if not kept:
        raise DataError(
            f"none of {len(references)} utterances has a reference text.",
            hint="Check the transcript column of the test split.",
        )
    said = [references[i] for i in kept]
    written = [hypotheses[i] for i in kept]
    totals: dict[tuple[Metric, Way], dict[str, int]] = {}
    counts: dict[tuple[Metric, Way], list[tuple[int, int]]] = {}
    for metric, way in _RATES:
        split = _splitter(metric, way, unit)
        totals[metric, way], counts[metric, way] = _align(said, written, split)
    names = [speakers[i] for i in kept] if speakers else []
    resampled, groups = _clusters(names, len(kept))
    rows = _by_cluster([counts[rate] for rate in _RATES], groups)
    low, high = _interval(_resampled_rates(rows, seed))
    rates = {
        rate: Rate(
            value=_value(counts[rate]), low=float(low[i]), high=float(high[i]), **totals[rate]
        )
        for i, rate in enumerate(_RATES)
    }
    return Scores(
        unit=unit,
        utterances=len(kept),
        empty_references=len(references) - len(kept),
        empty_hypotheses=sum(not NORMALISERS["marks"](text) for text in written),
        resampled=resampled,
        clusters=len(rows),
        wer=Ways(**{way: rates["wer", way] for way in NORMALISERS}),
        cer=Ways(**{way: rates["cer", way] for way in NORMALISERS}),
        counts=tuple(counts["cer" if unit == "characters" else "wer", "marks"]),
        groups=tuple(groups),
    )


def paired_difference(first: Scores, second: Scores, *, seed: int = 0) -> Difference:
    """How much better or worse the second model is on the same test set.

    Both are resampled together, so what is hard for both does not widen the interval.

    Raises:
        ValueError: the two do not score the same utterances.
    """
    lengths = [[length for _, length in scores.counts] for scores in (first, second)]
    if first.unit != second.unit or first.groups != second.groups or lengths[0] != lengths[1]:
        raise ValueError("the two results are not of the same utterances")
    rates = _resampled_rates(_by_cluster([first.counts, second.counts], first.groups), seed)
    change = rates[:, 1] - rates[:, 0]
    low, high = _interval(change[:, None])
    return Difference(
        value=_value(second.counts) - _value(first.counts),
        low=float(low[0]),
        high=float(high[0]),
        improved=float((change < 0).mean()),
    )


_METRICS: tuple[Metric, ...] = ("wer", "cer")
_RATES = [(metric, way) for metric in _METRICS for way in NORMALISERS]


def _has_text(reference: str) -> bool:
    """True if the reference has text left in each of the three ways."""
    return all(normalise(reference).strip() for normalise in NORMALISERS.values())


def _splitter(metric: Metric, way: Way, unit: Unit) -> Callable[[str], list[str]]:
    """What turns a text into the units that are counted."""
    normalise = NORMALISERS[way]
    if metric == "wer":
        return lambda text: normalise(text).split()
    joint = "" if unit == "characters" and way != "raw" else " "
    return lambda text: list(joint.join(normalise(text).split()))


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


def _clusters(
    speakers: list[str], utterances: int
) -> tuple[Literal["utterances", "speakers"], list[int]]:
    """What is resampled, and the cluster of each utterance, numbered by first appearance."""
    numbers: dict[str, int] = {}
    groups = [
        numbers.setdefault(name or f"\0{position}", len(numbers))
        for position, name in enumerate(speakers)
    ]
    if len(numbers) < FEWEST_SPEAKERS or len(numbers) == utterances:
        return "utterances", list(range(utterances))
    return "speakers", groups


def _by_cluster(
    rates: Sequence[Sequence[tuple[int, int]]], groups: Sequence[int]
) -> NDArray[np.float64]:
    """Sums of errors and lengths: (clusters, 2 × rates), errors first.

    The rows are sorted, so that the order of the utterances makes no difference.
    """
    import numpy as np

    counts = np.asarray(rates, dtype=np.float64)  # (rates, utterances, 2)
    columns = np.concatenate([counts[:, :, 0], counts[:, :, 1]])  # (2 × rates, utterances)
    summed: NDArray[np.float64] = np.stack([np.bincount(groups, c) for c in columns], axis=1)
    return summed[np.lexsort(summed.T)]


def _resampled_rates(rows: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """The rates of each bootstrap resample: (RESAMPLES, rates)."""
    import numpy as np

    random = np.random.default_rng(seed)
    clusters = len(rows)
    at_once = max(1, _DRAWS // clusters)
    parts = []
    for start in range(0, RESAMPLES, at_once):
        number = min(at_once, RESAMPLES - start)
        drawn = random.integers(clusters, size=(number, clusters))
        drawn += clusters * np.arange(number)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=number * clusters)
        parts.append(weights.reshape(number, clusters).astype(np.float64) @ rows)
    errors, lengths = np.split(np.concatenate(parts), 2, axis=1)
    return errors / lengths


def _interval(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower and upper ends of the interval of each column: (2, columns)."""
    import numpy as np

    tail = (1 - CONFIDENCE) / 2
    ends: NDArray[np.float64] = np.quantile(samples, [tail, 1 - tail], axis=0)
    return ends
