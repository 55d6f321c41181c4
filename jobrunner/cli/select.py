"""Finds the run that a command means: an id or the start of one, `@latest`, or the newest."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from jobrunner.catalog.backends import LOCAL
from jobrunner.cli import output
from jobrunner.cli.options import Command
from jobrunner.cli.output import say
from jobrunner.errors import JobrunnerError, UsageError

if TYPE_CHECKING:
    from jobrunner.runner.api import Runner
    from jobrunner.spec.record import RunRecord

LATEST = "@latest"


@dataclass(frozen=True, kw_only=True)
class Place:
    """The typed options about where to look for runs."""

    backend: str = ""
    namespace: str | None = None


def configured_storage(url: str | None) -> tuple[str, str]:
    """URL and endpoint of the storage that `--storage` names, or of the configured one.

    Raises:
        UsageError: the configuration cannot be used.
    """
    from jobrunner import config

    flags = [config.Flag(origin="--storage", path="storage", text=url)] if url else []
    configured = config.load(flags=flags, backend=LOCAL)
    configured.check()
    values = configured.values
    return str(values["storage"].value), str(values["cluster.storage_endpoint"].value)


def recorded(text: str, storage: str | None, place: Place) -> RunRecord:
    """The record of the run that was meant; with a storage, of one submitted elsewhere.

    Raises:
        UsageError: no run is meant, or several.
    """
    if storage:
        from jobrunner.runner.elsewhere import record_in

        url, endpoint = configured_storage(storage)
        return record_in(url, text, endpoint=endpoint)
    runner = reader(place)
    return runner.record(find(runner, text))


def place_options(function: Command) -> Command:
    """Adds `--local` and `--namespace`; the command gets them as one `place`."""

    @functools.wraps(function)
    def gathered(*, local: bool, namespace: str | None, **others: Any) -> Any:
        place = Place(backend=LOCAL if local else "", namespace=namespace)
        return function(place=place, **others)

    text = "Namespace of the cluster.  [default: as configured]"
    added = click.option("-n", "--namespace", metavar="NAME", help=text)(gathered)
    return click.option("--local", is_flag=True, help="Look on this machine only.")(added)


def reader(place: Place | None = None, warn: Callable[[str], None] = output.warn) -> Runner:
    """The runner for commands about existing runs.

    Args:
        place: where to look for runs.
        warn: gets one line if the cluster cannot be asked.
    """
    from jobrunner import config
    from jobrunner.runner.api import open_reader, open_runner

    place = place or Place()
    flags = []
    if place.namespace is not None:
        flags.append(
            config.Flag(origin="--namespace", path="cluster.namespace", text=place.namespace)
        )
    configured = config.load(flags=flags, backend=place.backend)
    output.origins(configured)
    if configured.facts.is_here:
        return open_runner(configured.backend)
    namespace = str(configured.values["cluster.namespace"].value)
    return open_reader(namespace=namespace, warn=warn)


def namespace_option(namespace: str | None) -> str:
    """` -n NAME` if a command without it would look in another namespace; otherwise empty."""
    from jobrunner import config

    configured = str(config.load().values["cluster.namespace"].value)
    return "" if namespace in {None, configured} else f" -n {namespace}"


def find(runner: Runner, text: str | None) -> str:
    """The run id that was meant.

    Raises:
        UsageError: there is no run yet, or the text is not a run id, or several start with it.
    """
    if text is not None and text != LATEST:
        return runner.find(text)
    newest = runner.list()[:1]
    if not newest:
        raise UsageError(
            "There are no runs yet.",
            hint="`jobrunner submit --help` shows how to start one.",
        )
    return newest[0].run


def find_each(runner: Runner, texts: Sequence[str]) -> list[str]:
    """The run ids that were meant, each once; says which id a shorter text stands for."""
    found: dict[str, str] = {}
    for text in texts:
        run = find(runner, text)
        if text != run and run not in found:
            say(f"{text} is {run}.")
        found.setdefault(run, text)
    return list(found)


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of runs, for the shell."""
    try:
        known = [status.run for status in reader().list()]
    except JobrunnerError:
        return []
    return [run for run in [*known, LATEST] if run.startswith(incomplete)]
