"""Chooses and sorts the runs of a list: `--lang`, `--status`, `--since`, `--sort`, `--limit`."""

from __future__ import annotations

import functools
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jobrunner.cli.options import Command, complete_language
from jobrunner.errors import UsageError

if TYPE_CHECKING:
    from jobrunner.states import Progress, RunStatus

# States of runs in the order in which `--sort status` shows them: what needs a look comes first.
STATES = ("Failed", "Stopped", "Running", "Starting", "Queued", "Cancelled", "Succeeded")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def trained(status: RunStatus) -> Progress | None:
    """The progress of training, the only stage that reports a loss; None before its first step."""
    return next((s.progress for s in status.stages if s.progress.loss is not None), None)


def _rate(status: RunStatus) -> tuple[str, float]:
    """The metric of the latest validation, and its value so that a better one sorts first."""
    from jobrunner.scoring.metrics import METRICS

    progress = trained(status)
    metric = METRICS.get(progress.metric) if progress else None
    if progress is None or metric is None or progress.rate is None:
        return ("~", math.inf)  # sorts behind the name of every metric
    return metric.name, progress.rate if metric.direction == "lower" else -progress.rate


def _loss(status: RunStatus) -> float:
    progress = trained(status)
    return math.inf if progress is None or progress.loss is None else progress.loss


# What `--sort` can be, and the key of a run; equal ones stay newest first.
SORTS: dict[str, Callable[[RunStatus], Any]] = {
    "age": lambda status: -status.submitted,
    "lang": lambda status: status.lang,
    "loss": _loss,
    "model": lambda status: status.model,
    "rate": _rate,
    "run": lambda status: status.run,
    "status": lambda status: STATES.index(status.state),
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The runs that a list shows."""

    languages: frozenset[str] = frozenset()
    """Codes; empty means all."""
    states: frozenset[str] = frozenset()
    """States; empty means all."""
    since: float | None = None
    """Unix time: not those that were submitted earlier."""
    limit: int | None = None
    sort: str = "age"

    def of(self, runs: Sequence[RunStatus]) -> list[RunStatus]:
        """These runs of all, sorted."""
        found = [status for status in runs if self._has(status)]
        return sorted(found, key=SORTS[self.sort])[: self.limit]

    @property
    def everything(self) -> bool:
        """True if no run is left out."""
        return not self.languages and not self.states and self.since is None

    def _has(self, status: RunStatus) -> bool:
        return (
            (not self.languages or status.lang in self.languages)
            and (not self.states or status.state in self.states)
            # A run whose time is not known is shown rather than hidden.
            and (self.since is None or not status.submitted or status.submitted >= self.since)
        )


def moment(text: str, now: float) -> float:
    """A time as a user types it, as Unix time.

    Args:
        text: an age (`45m`, `3h`, `2d`, `1w`) or a date with or without a time; local time unless
            it names a zone.
        now: the present as Unix time.

    Raises:
        UsageError: it is none of these.
    """
    text = text.strip()
    if age := re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", text):
        return now - float(age[1]) * SECONDS[age[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"--since: {text[:60]!r} is not a time.",
            hint="Write an age such as 45m, 3h, 2d or 1w, or a date such as "
            f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}.",
        ) from None


def _states(text: str) -> frozenset[str]:
    """States by name, in any case, with commas between them."""
    known = {state.lower(): state for state in STATES}
    found = set()
    for name in text.split(","):
        if name.strip().lower() not in known:
            raise UsageError(
                f"--status: no run is {name.strip()[:60]!r}.",
                hint=f"Choose from {', '.join(known)}.",
            )
        found.add(known[name.strip().lower()])
    return frozenset(found)


def _complete_state(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """States; after a comma, the next one."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{state.lower()}" for state in STATES if state.lower().startswith(last)]


def _complete_since(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """A few ages."""
    return [age for age in ("1h", "6h", "1d", "2d", "1w") if age.startswith(incomplete)]


def filter_options(function: Command) -> Command:
    """Adds the options that choose and sort runs; the command gets them as one `wanted`."""

    @functools.wraps(function)
    def gathered(
        *,
        lang: str | None,
        status: str | None,
        since: str | None,
        limit: int | None,
        sort: str,
        **others: Any,
    ) -> Any:
        from jobrunner.catalog import languages

        codes = lang.split(",") if lang is not None else []
        wanted = Wanted(
            languages=frozenset(languages.find(code.strip()).code for code in codes),
            states=_states(status) if status is not None else frozenset(),
            since=moment(since, time.time()) if since is not None else None,
            limit=limit,
            sort=sort,
        )
        return function(wanted=wanted, **others)

    added: Command = gathered
    for option in reversed(_options()):
        added = option(added)
    return added


def _options() -> list[Callable[[Command], Command]]:
    return [
        click.option(
            "--lang",
            metavar="LANGS",
            help="Only these languages: `el,en`.",
            shell_complete=complete_language,
        ),
        click.option(
            "--status",
            metavar="STATES",
            help="Only these states: `running`, `failed,stopped`.",
            shell_complete=_complete_state,
        ),
        click.option(
            "--since",
            metavar="TIME",
            help="Only runs submitted since then: `3h`, `2d`, `2026-11-21`.",
            shell_complete=_complete_since,
        ),
        click.option(
            "--limit", type=click.IntRange(min=1), metavar="N", help="The first N of them only."
        ),
        click.option(
            "--sort",
            type=click.Choice(tuple(SORTS)),
            metavar="KEY",
            default="age",
            show_default=True,
            help=f"{', '.join(list(SORTS)[:-1])} or {list(SORTS)[-1]}.",
        ),
    ]
