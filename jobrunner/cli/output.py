"""Output: data on stdout, messages on stderr, colours on terminals only."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click

# Exit code when the reader of stdout is gone: that of a process that SIGPIPE ended.
CLOSED = 141
# Version of the JSON and YAML that commands print.
VERSION = 1
# Control characters, line ends, directions and lone surrogates. Joiners stay: words need them.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
COLOURS = {
    "Running": "blue",
    "Starting": "blue",
    "Succeeded": "green",
    "Failed": "red",
    "Cancelled": "yellow",
    "Stopped": "yellow",
}


def out(text: str) -> None:
    """Prints data, one or more lines, on stdout."""
    click.echo(text)


def say(text: str = "") -> None:
    """Prints a message, one or more lines, on stderr."""
    click.echo(text, err=True)


def warn(line: str) -> None:
    """Prints a warning on stderr."""
    say(f"{paint('warning:', 'yellow', err=True)} {escape(line)}")


def escape(text: str) -> str:
    """The text with control characters and newlines escaped, so that no terminal obeys them."""
    return UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def paint(text: str, colour: str, *, err: bool = False, bold: bool = False) -> str:
    """The text in colour if a terminal shows it (https://no-color.org)."""
    stream = sys.stderr if err else sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return click.style(text, fg=colour or None, bold=bold)


def folded(text: str, indent: int, *, err: bool = False) -> str:
    """The text in lines as wide as the terminal; in one line if there is no terminal.

    Args:
        text: the text, which is folded at spaces only.
        indent: columns before each line; the caller prints those before the first.
        err: True for text that goes to stderr.
    """
    if not (sys.stderr if err else sys.stdout).isatty():
        return text
    width = max(shutil.get_terminal_size().columns - indent, 20)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return f"\n{'':<{indent}}".join(lines)


def state(name: str, *, err: bool = False) -> str:
    """The name of a state in its colour."""
    return paint(name, COLOURS.get(name, ""), err=err)


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], *, err: bool = False) -> str:
    """A table as kubectl prints it: aligned, two spaces between columns, no lines."""
    table = [[escape(cell) or "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *table, strict=True)]
    lines = []
    for row in [list(head), *table]:
        cells = [
            state(cell, err=err) + " " * (w - len(cell))
            for cell, w in zip(row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def structured(kind: str, content: Mapping[str, Any]) -> str:
    """JSON or YAML with the version of its form."""
    whole = {"version": VERSION, **content}
    if kind == "yaml":
        import yaml

        text: str = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
        return text.rstrip("\n")
    import json

    return json.dumps(whole, indent=2, ensure_ascii=False)


def plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with lists in place of tuples, for YAML."""
    import json

    lists: dict[str, Any] = json.loads(json.dumps(content))
    return lists


def text_of(value: object) -> str:
    """A value of a spec as it is typed; empty for None."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def duration(seconds: float | None) -> str:
    """`48s`, `12m`, `3h20m`, `5d`: a duration with the precision that matters."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes}m{rest}s" if minutes < 10 and rest else f"{minutes}m"
    if whole < 48 * 3600:
        hours, rest = divmod(whole // 60, 60)
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    return f"{whole // 86400}d"


def percent(ratio: float | None, digits: int = 0) -> str:
    """`43%`; empty for None."""
    return "" if ratio is None else f"{100 * ratio:.{digits}f}%"
