"""Output: data on stdout, messages on stderr, colours on terminals only."""

from __future__ import annotations

import io
import os
import re
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from jobrunner.errors import OutputError

if TYPE_CHECKING:
    from jobrunner.config import Configuration

# Exit code when the reader of stdout is gone: that of a process that SIGPIPE ended.
CLOSED = 141
# Version of the JSON and YAML that commands print.
VERSION = 1
# Fields of a status that are times.
TIMES = frozenset(("submitted", "started", "ended", "updated"))
# Columns of a terminal that does not say how many it has.
USUAL_WIDTH = 80
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


class _Stdout(io.FileIO):
    """The file behind stdout: what it does not take is an error of its own."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"Stdout cannot be written: {error.strerror or error}.") from None


def open_streams() -> None:
    """Makes errors of stdout recognisable, and opens stderr if it is closed.

    Raises:
        OutputError: stdout is closed.
    """
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(io.FileIO(os.devnull, "w"), write_through=True)
    if sys.stdout is None:
        raise OutputError("Stdout is closed, so nothing can be printed.", hint="Redirect it.")
    old = sys.stdout
    if not isinstance(old, io.TextIOWrapper):
        return  # Someone else's, who knows what to do with its errors.
    raw = _Stdout(old.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        raw if old.write_through else io.BufferedWriter(raw),
        encoding=old.encoding,
        line_buffering=old.line_buffering,
        write_through=old.write_through,
    )


# What say() and detail() print: -1 neither (`-q`), 0 messages, 1 details too (`-v`).
level = 0


def out(text: str) -> None:
    """Prints data, one or more lines, on stdout."""
    click.echo(text)


def say(text: str = "") -> None:
    """Prints a message, one or more lines, on stderr; nothing with `-q`."""
    if level >= 0:
        click.echo(text, err=True)


def detail(line: str) -> None:
    """Prints a line on stderr that only `-v` asks for."""
    if level > 0:
        click.echo(paint(escape(line), "bright_black", err=True), err=True)


def warn(line: str) -> None:
    """Prints a warning on stderr."""
    say(f"{paint('warning:', 'yellow', err=True)} {escape(line)}")


def origins(configured: Configuration) -> None:
    """Prints with `-v` the settings that files, variables and options give."""
    if level > 0:
        for path, value in configured.values.items():
            if not value.origin.startswith(("default", "preset of ", "follows from ")):
                detail(f"{path} = {value.value}  ({value.origin})")


def escape(text: str) -> str:
    """The text with control characters and newlines escaped, so that no terminal obeys them."""
    return UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def paint(text: str, colour: str, *, err: bool = False, bold: bool = False) -> str:
    """The text in colour if a terminal shows it (https://no-color.org)."""
    stream = _stream(err)
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return click.style(text, fg=colour or None, bold=bold)


def width(*, err: bool = False) -> int | None:
    """Columns of the terminal that a stream writes to; None if it is not a terminal.

    Args:
        err: True for stderr.
    """
    stream = _stream(err)
    if not stream.isatty():
        return None
    typed = os.environ.get("COLUMNS", "")
    if typed.isdecimal() and int(typed):
        return int(typed)
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_WIDTH
    except OSError:
        return USUAL_WIDTH


def folded(text: str, indent: int, *, err: bool = False) -> str:
    """The text in lines as wide as the terminal; in one line if there is no terminal.

    Args:
        text: the text, which is folded at spaces only.
        indent: columns before each line; the caller prints those before the first.
        err: True for text that goes to stderr.
    """
    columns = width(err=err)
    if columns is None:
        return text
    lines = textwrap.wrap(
        text, max(columns - indent, 20), break_long_words=False, break_on_hyphens=False
    )
    return f"\n{'':<{indent}}".join(lines)


def state(name: str, *, err: bool = False) -> str:
    """The name of a state in its colour."""
    return paint(name, COLOURS.get(name, ""), err=err)


def _stream(err: bool) -> TextIO:
    return sys.stderr if err else sys.stdout


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


def plain(status: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a status for JSON and YAML: times as RFC 3339, null if they are not known."""
    return {key: _plain(key, value) for key, value in status.items()}


def _plain(key: str, value: Any) -> Any:
    if key in TIMES:
        return rfc3339(value) if value else None
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list):
        return [plain(each) if isinstance(each, Mapping) else each for each in value]
    return value


def rfc3339(seconds: float) -> str:
    """Unix time as `2026-11-21T18:00:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


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
