"""`-q` and `-v`, before a command or behind it."""

from __future__ import annotations

import sys

import click

from jobrunner.cli import output

QUIET = "Print errors and results only."
VERBOSE = "Also print where settings come from, and each request with its time."


def set_verbosity(*, quiet: bool = False, verbose: bool = False) -> None:
    """Sets how much this command prints on stderr.

    Args:
        quiet: errors and questions only.
        verbose: also what the rooms below log at DEBUG: requests to clusters and to S3.

    Raises:
        UsageError: both were asked for.
    """
    if quiet and verbose:
        raise click.UsageError("-q and -v cannot both be given.")
    output.level = -1 if quiet else 1 if verbose else 0
    if verbose or "logging" in sys.modules:
        _log(verbose)


def _log(verbose: bool) -> None:
    import logging

    class _Detail(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            output.detail(record.getMessage())

    logger = logging.getLogger("jobrunner")
    logger.handlers = [_Detail()] if verbose else []
    logger.setLevel(logging.DEBUG if verbose else logging.NOTSET)


def add_options(command: click.Command) -> click.Command:
    """Lets a command take `-q` and `-v` behind its name as well; its help does not repeat them.

    Args:
        command: the command, which is changed.
    """
    if not any(parameter.name == "quiet" for parameter in command.params):
        command.params += [_option("-q", "--quiet"), _option("-v", "--verbose")]
    return command


def _option(*names: str) -> click.Option:
    def chosen(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            quiet, verbose = param.name == "quiet", param.name == "verbose"
            set_verbosity(quiet=quiet or output.level < 0, verbose=verbose or output.level > 0)

    return click.Option(names, is_flag=True, hidden=True, expose_value=False, callback=chosen)
