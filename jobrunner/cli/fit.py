"""Fits tables and lists of facts to the width of a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from jobrunner.cli.output import escape

GAP = "  "  # between columns
BLOCKS = "▁▂▃▄▅▆▇█"


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None,
    *,
    leave_out: Collection[str],
    last: int | None = None,
) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of a table without the columns that there is no room for.

    Args:
        head: titles.
        rows: as many cells each.
        width: columns of the terminal; None leaves all.
        leave_out: titles of columns that may be left out, in this order.
        last: least width of the last column, which is then cut to the room that is left; None
            if it must be seen whole.
    """
    titles = list(head)
    cells = [[escape(cell) for cell in row] for row in rows]
    if width is None:
        return titles, cells
    for title in leave_out:
        if needed(titles, cells, last) <= width:
            break
        column = titles.index(title)
        if last is not None and column == len(titles) - 1:
            last = None
        for row in (titles, *cells):
            del row[column]
    if last is not None and titles:
        room = max(width - needed(titles, cells, 0), last)
        for row in cells:
            row[-1] = cut(row[-1], room)
    return titles, cells


def needed(titles: Sequence[str], cells: Sequence[Sequence[str]], last: int | None = None) -> int:
    """Columns of the terminal that a table takes.

    Args:
        titles: its head.
        cells: its rows.
        last: most that its last column is counted with; None counts it whole.
    """
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    if last is not None and widths:
        widths[-1] = min(widths[-1], last)
    return sum(widths) + len(GAP) * max(len(widths) - 1, 0)


def cut(text: str, width: int) -> str:
    """The text with an ellipsis in place of what does not fit."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def lines(facts: Sequence[str], width: int, between: str = " · ") -> list[str]:
    """Facts in lines; a fact is broken only if it is longer than a line.

    Args:
        facts: short texts.
        width: columns of a line.
        between: what separates two facts of a line.
    """
    found: list[str] = []
    for fact in facts:
        if found and len(found[-1]) + len(between) + len(fact) <= width:
            found[-1] += f"{between}{fact}"
        else:
            found.append(fact)
    return found


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as a line of blocks, from the lowest to the highest; empty for fewer than two."""
    if len(values) < 2 or width < 2:
        return ""
    count = min(width, len(values))
    edges = [len(values) * i // count for i in range(count + 1)]
    means = [sum(values[begin:end]) / (end - begin) for begin, end in itertools.pairwise(edges)]
    low, high = min(means), max(means)
    # The range is a tenth of the values at least, so that noise does not look like a change.
    spread = max(high - low, abs(high) / 10) or 1.0
    steps = len(BLOCKS) - 1
    return "".join(BLOCKS[round((mean - low) / spread * steps)] for mean in means)
