"""Examples of what a model wrote: the worst utterances of a test set, and the middle ones."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobrunner.errors import NotFound, UsageError
from jobrunner.scoring.alignment import Pair, align, errors
from jobrunner.scoring.metrics import Unit
from jobrunner.scoring.rates import units
from jobrunner.scoring.result import Comparison, Result
from jobrunner.scoring.text import has_text
from jobrunner.spec import keys
from jobrunner.storage.base import Storage


@dataclass(frozen=True, kw_only=True)
class Example:
    """One utterance."""

    clip: str
    """Name of the clip in the corpus."""
    reference: str
    """The correct text as it is written."""
    hypothesis: str
    """The model's text as it is written."""
    pairs: tuple[Pair, ...]
    """Both texts, aligned as the leading rate counts them; words as they are written."""

    @property
    def rate(self) -> float:
        """Its own error rate, a ratio."""
        length = sum(pair.kind != "insertion" for pair in self.pairs)
        return errors(self.pairs) / length


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Examples of one result."""

    result: Result
    worst: tuple[Example, ...]
    """The highest error rates, the highest first."""
    median: tuple[Example, ...]
    """Those around the median of all error rates; none of them is among the worst."""


def read(
    storage: Storage,
    comparisons: Sequence[Comparison],
    count: int,
    *,
    wanted: bool = True,
    warn: Callable[[str], None] = lambda line: None,
) -> list[Examples]:
    """Examples of the fine-tuned model of each comparison, else of the base model.

    Args:
        storage: storage of the runs.
        comparisons: results to show examples of.
        count: worst and median examples to choose, of each.
        wanted: False to say nothing about results whose texts are not there.
        warn: gets one line for each result whose texts are gone or cannot be read.

    Raises:
        UsageError: this machine lacks pyarrow.
    """
    found = []
    for comparison in comparisons:
        result = comparison.either
        place = (result.run, result.which, result.test_set, result.language)
        key = keys.predictions_file(*place)
        try:
            found.append(choose(result, _texts(storage.read(key)), count))
        except NotFound:
            if wanted:
                warn(f"{key} is not in storage: no examples of it.")
        except (ValueError, KeyError, TypeError, OSError) as error:
            warn(f"{key} cannot be read ({str(error).splitlines()[0]}): no examples of it.")
    return found


def choose(result: Result, texts: Sequence[tuple[str, str, str]], count: int) -> Examples:
    """The worst utterances of a result, and those around the median.

    Args:
        result: the result of a model.
        texts: clip, reference and hypothesis of each utterance, in the test set's order.
        count: how many of either.
    """
    unit = result.scores.unit
    scored = [row for row in texts if has_text(row[1])]
    if len(scored) == len(result.scores.counts):
        rates = [wrong / max(length, 1) for wrong, length in result.scores.counts]
    else:
        # Results of older versions have no counts.
        rates = [_example(row, unit).rate for row in scored]
    order = sorted(range(len(scored)), key=lambda place: (-rates[place], place))
    worst, others = order[:count], order[count:]
    # The median of all, as a place among those that are left.
    first = max(0, min(len(order) // 2 - count - count // 2, len(others) - count))
    median = others[first : first + count]
    return Examples(
        result=result,
        worst=tuple(_example(scored[place], unit) for place in worst),
        median=tuple(_example(scored[place], unit) for place in median),
    )


def with_examples(
    records: Sequence[dict[str, Any]], examples: Sequence[Examples] | None
) -> list[dict[str, Any]]:
    """Records of comparisons with the examples of each as plain data; None adds nothing."""
    if examples is None:
        return list(records)
    by_place = {(e.result.run, e.result.language, e.result.test_set): e for e in examples}
    found = []
    for record in records:
        chosen = by_place.get((record["run"], record["language"], record["test_set"]))
        found.append({**record, "examples": _record(chosen) if chosen else None})
    return found


def _record(examples: Examples) -> dict[str, Any]:
    return {
        "which": examples.result.which,
        **{
            name: [
                {
                    "clip": example.clip,
                    "rate": example.rate,
                    "reference": example.reference,
                    "hypothesis": example.hypothesis,
                    "aligned": [asdict(pair) for pair in example.pairs],
                }
                for example in chosen
            ]
            for name, chosen in (("worst", examples.worst), ("median", examples.median))
        },
    }


def _example(row: tuple[str, str, str], unit: Unit) -> Example:
    clip, reference, hypothesis = row
    said, written = iter(_shown(reference, unit)), iter(_shown(hypothesis, unit))
    pairs = tuple(
        Pair(
            kind=pair.kind,
            reference="" if pair.kind == "insertion" else next(said),
            hypothesis="" if pair.kind == "deletion" else next(written),
        )
        for pair in align(units(reference, unit), units(hypothesis, unit))
    )
    return Example(clip=clip, reference=reference, hypothesis=hypothesis, pairs=pairs)


def _shown(text: str, unit: Unit) -> list[str]:
    """The units of a text: words as they are written, if each of them counts as one."""
    counted = units(text, unit)
    if unit == "characters":
        return counted
    words = [(word, units(word, unit)) for word in text.split()]
    if [one for _, parts in words for one in parts] != counted:
        return counted
    return [one for word, parts in words for one in ([word] if len(parts) == 1 else parts)]


def _texts(data: bytes) -> list[tuple[str, str, str]]:
    """Clip, reference and hypothesis of each utterance in a `predictions.parquet`."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise UsageError(
            "Examples are read with pyarrow, which is not installed.",
            hint="pip install 'jobrunner[core]'",
        ) from None
    names = ["clip", "reference", "hypothesis"]
    table = pyarrow.parquet.read_table(io.BytesIO(data), columns=names)
    columns = [table.column(name).to_pylist() for name in names]
    return [(str(c), str(r), str(h)) for c, r, h in zip(*columns, strict=True)]
