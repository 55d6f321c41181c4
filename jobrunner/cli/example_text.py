"""Examples of what a model wrote as text for a terminal, readable without colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from jobrunner.cli.output import escape, paint

if TYPE_CHECKING:
    from jobrunner.reports.examples import Example, Examples
    from jobrunner.scoring.alignment import Pair

# Letter and colour of each kind of error, as speech tools have marked them for decades.
MARKS = {
    "equal": ("", ""),
    "substitution": ("S", "red"),
    "deletion": ("D", "yellow"),
    "insertion": ("I", "magenta"),
}
# What stands on a line of names before the words.
INDENT = 6
LEGEND = "S another word, D left out, I added. Case and punctuation do not count."
# The longest line in characters: a longer one is hard to follow.
LONGEST = 120


def example_text(found: Examples, width: int) -> str:
    """The worst and the median examples of one result, as wide as the terminal."""
    from jobrunner.catalog import languages

    result = found.result
    name = languages.find(result.language).name
    model = "base model" if result.which == "base" else "fine-tuned model"
    head = f"{name}, {escape(result.test_set)}, {model} of {result.run}"
    lines = [paint(head, "", bold=True), paint(LEGEND, "bright_black")]
    for words, chosen in (("worst", found.worst), ("median", found.median)):
        if chosen:
            which = f"{len(chosen)} {words}" if len(chosen) > 1 else words
            lines += ["", f"The {which} of {result.scores.utterances} utterances"]
        for number, example in enumerate(chosen, 1):
            lines += ["", *_example(example, number, found, width)]
    return "\n".join(lines)


def _example(example: Example, number: int, found: Examples, width: int) -> Iterator[str]:
    from jobrunner.reports.format import faults

    scores = found.result.scores
    rate = f"{scores.metric.label} {100 * example.rate:.0f} %"
    yield f"{number:>3}.  {rate}, {faults(example.pairs)}  ({escape(example.clip)})"
    room = max(min(width, LONGEST) - INDENT, 20)
    gap = 0 if scores.unit == "characters" else 1
    for row in _rows(example.pairs, room, gap):
        yield from _aligned(row, gap)


def _rows(pairs: Sequence[Pair], room: int, gap: int) -> Iterator[list[Pair]]:
    """The pairs in rows that fit into the room."""
    row: list[Pair] = []
    used = 0
    for pair in pairs:
        needed = _width(pair) + gap
        if row and used + needed - gap > room:
            yield row
            row, used = [], 0
        row.append(pair)
        used += needed
    if row:
        yield row


def _aligned(row: Sequence[Pair], gap: int) -> Iterator[str]:
    """Three lines: the reference, the hypothesis, and the letters of the errors."""
    between = " " * gap
    references = between.join(_cell(pair.reference, pair) for pair in row)
    hypotheses = between.join(_cell(pair.hypothesis, pair, coloured=True) for pair in row)
    yield f"{'ref':<{INDENT}}{references}".rstrip()
    yield f"{'hyp':<{INDENT}}{hypotheses}".rstrip()
    letters = between.join(MARKS[pair.kind][0].ljust(_width(pair)) for pair in row).rstrip()
    if letters:
        yield f"{'':<{INDENT}}{letters}"


def _cell(text: str, pair: Pair, *, coloured: bool = False) -> str:
    """A text as wide as its pair; asterisks where the other text has a word that it lacks."""
    from rich.cells import cell_len

    width = _width(pair)
    shown = escape(text) or "*" * width
    colour = MARKS[pair.kind][1] if coloured else ""
    painted = paint(shown, colour) if colour else shown
    return painted + " " * (width - cell_len(shown))


def _width(pair: Pair) -> int:
    from rich.cells import cell_len

    return max(cell_len(escape(pair.reference)), cell_len(escape(pair.hypothesis)), 1)
