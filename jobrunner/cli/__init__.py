"""The command line: one command, one file. Errors become one line and an exit code here only."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from jobrunner import waiting
from jobrunner.cli.group import cli
from jobrunner.cli.output import CLOSED, escape, open_streams, paint, say
from jobrunner.errors import Detached, JobrunnerError, OutputError

# Exit codes that errors.py promises for commands; codes of stages (65 …) mean wrong input here.
EXIT_CODES = (1, 2, 3, 4)
INTERRUPTED = 130


def main() -> NoReturn:
    """Runs the command that was typed and ends the process."""
    try:
        open_streams()
    except OutputError as error:
        _print_error(str(error))
        sys.exit(error.exit_code)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Greek or an arrow must not cause a failure on a terminal that has only Latin letters.
            stream.reconfigure(errors="backslashreplace")
    waiting.listen(lambda line: say(escape(line)))
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code.

    Args:
        arguments: arguments after `jobrunner`; those of this process unless given.
    """
    try:
        code = cli.main(arguments, prog_name="jobrunner", standalone_mode=False)
        sys.stdout.flush()
    except OutputError as error:
        _print_error(str(error))
        _discard_output()
        return error.exit_code
    except JobrunnerError as error:
        _print_error(str(error))
        return error.exit_code if error.exit_code in EXIT_CODES else 2
    except Detached as error:
        click.echo(escape(str(error)), err=True)
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        _print_error(_sentence(error))
        return 2
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return CLOSED
    except Exception as error:
        if isinstance(error, FileNotFoundError) and _folder_is_gone():
            _print_error("The working folder was removed. Change to one that exists.")
            return 2
        if os.environ.get("JOBRUNNER_DEBUG"):
            raise
        _print_error(
            f"{type(error).__name__}: {error}. This is a bug in jobrunner. "
            "Report it with what the same command prints under JOBRUNNER_DEBUG=1."
        )
        return 1
    return code if isinstance(code, int) else 0


def _discard_output() -> None:
    """Drops what stdout did not take; Python would report that again when it exits."""
    with contextlib.suppress(io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _folder_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _sentence(error: click.ClickException) -> str:
    """Click's message in our form: no capital, a full stop, and a hint."""
    # Click lists choices in lines of their own.
    text = re.sub(r"\s*\n\s*", " ", error.format_message().strip())
    text = f"{text[:1].lower()}{text[1:]}"
    text = text if text.endswith((".", "?")) else f"{text}."
    context = getattr(error, "ctx", None)
    return f"{text} See `{context.command_path} --help`." if context else text


def _print_error(line: str) -> None:
    click.echo(f"{paint('error:', 'red', err=True)} {escape(line)}", err=True)
