"""Aligns a hypothesis with its reference: which words are right, wrong, left out or added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# Cost of an error, and what a substitution costs besides: of equally many errors, those that leave
# more units equal are easier to read.
_ERROR = 1 << 20
_SUBSTITUTION = _ERROR + 1

Kind = Literal["equal", "substitution", "deletion", "insertion"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One unit of the reference beside the unit of the hypothesis that stands for it."""

    kind: Kind
    reference: str
    """Empty for an insertion."""
    hypothesis: str
    """Empty for a deletion."""


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Pair]:
    """Aligns two texts with the fewest errors; of equally few, with the most equal units.

    Args:
        reference: units of the correct text: words or characters.
        hypothesis: units of the model's text.
    """
    rows = _costs(reference, hypothesis)
    i, j = len(reference), len(hypothesis)
    pairs: list[Pair] = []
    while i or j:
        here = rows[i][j]
        if i and j and reference[i - 1] == hypothesis[j - 1] and here == rows[i - 1][j - 1]:
            kind: Kind = "equal"
        elif i and j and here == rows[i - 1][j - 1] + _SUBSTITUTION:
            kind = "substitution"
        elif i and here == rows[i - 1][j] + _ERROR:
            kind = "deletion"
        else:
            kind = "insertion"
        i -= kind != "insertion"
        j -= kind != "deletion"
        pairs.append(
            Pair(
                kind=kind,
                reference="" if kind == "insertion" else reference[i],
                hypothesis="" if kind == "deletion" else hypothesis[j],
            )
        )
    return pairs[::-1]


def errors(pairs: Sequence[Pair]) -> int:
    """The number of errors in an alignment."""
    return sum(pair.kind != "equal" for pair in pairs)


def _costs(reference: Sequence[str], hypothesis: Sequence[str]) -> list[list[int]]:
    """The least cost between every start of the reference and every start of the hypothesis."""
    rows = [[_ERROR * count for count in range(len(hypothesis) + 1)]]
    for i, unit in enumerate(reference, 1):
        above, row = rows[-1], [_ERROR * i]
        for j, other in enumerate(hypothesis, 1):
            paired = above[j - 1] + (0 if unit == other else _SUBSTITUTION)
            row.append(min(paired, above[j] + _ERROR, row[-1] + _ERROR))
        rows.append(row)
    return rows
