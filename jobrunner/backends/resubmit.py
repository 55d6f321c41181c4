"""Rules of all backends for submitting a run that already exists. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from jobrunner.errors import Lost, UnreadableRun, UsageError
from jobrunner.spec.plan import Plan
from jobrunner.spec.record import RunRecord, newer

Look = Callable[[], Collection[str]]
"""Looks in storage; returns the stages whose results are not whole there."""


def unseen() -> Collection[str]:
    """A `Look` of a caller that does not look."""
    return ()


def check(asked: RunRecord, before: RunRecord, *, live: bool) -> None:
    """Checks that a submit may change an existing run.

    Args:
        asked: the submitted run.
        before: the recorded run.
        live: True if something of it runs or will run.

    Raises:
        UnreadableRun: a newer client made the run, and its record has fields unknown here.
        UsageError: another spec has the same id, or the run has another storage.
    """
    if before.unknown:
        raise UnreadableRun(f"{before.run} was {newer(before.client)}.")
    if before.digest != asked.digest:
        raise UsageError(
            f"{before.run} is another run: the first 8 digits of both digests are equal.",
            hint="Give --again 1 for an id of its own.",
        )
    if before.spec.storage == asked.spec.storage:
        return
    raise UsageError(
        f"{before.run} {'is running with' if live else 'has'} the storage {before.spec.storage}.",
        hint=f"Use that, or `jobrunner delete {before.run}` first, which "
        f"{'cancels it and ' if live else ''}leaves its storage as it is, or add --again "
        f"{before.spec.again + 1} for another run.",
    )


def merged(asked: RunRecord, before: Plan, *, done: Collection[str], live: bool) -> RunRecord:
    """The run to continue with.

    A live run keeps its options and gets the new languages. An ended one gets the new options and
    keeps its successful evaluations.

    Args:
        asked: the submitted run.
        before: the plan of the recorded run.
        done: its stages that succeeded.
        live: True if something of it runs or will run.
    """
    kept = [s.language for s in before.stages if s.language and (live or s.name in done)]
    wanted = tuple(dict.fromkeys((*kept, *asked.spec.evaluation_languages)))
    base = before.record if live else asked
    spec = base.spec.evaluating(wanted)
    return base if spec is base.spec else base.with_spec(spec)


def again(
    planned: Plan,
    *,
    done: Collection[str],
    failed: Mapping[str, int | None],
    prepared: Collection[str],
    lost: Collection[str],
    changed: bool = False,
) -> set[str]:
    """The stages that succeeded and must run again before the rest of a run.

    Args:
        planned: the run to continue with.
        done: its stages that succeeded.
        failed: exit codes of its stages that failed.
        prepared: see `prepares_again`.
        lost: stages whose results are known not to be whole in storage.
        changed: see `prepares_again`.
    """
    lost = set(lost)
    for stage in planned.stages:
        if failed.get(stage.name) == Lost.exit_code:
            # It does not say whose result it missed. A stage whose result is whole ends at once.
            lost |= planned.before(stage.name)
    repeated = lost & set(done)
    rest = set(done) - repeated
    prepare = {stage.name for stage in planned.stages if stage.kind == "prepare"}
    if {stage.name for stage in planned.stages} - prepare <= rest:
        return set()
    if prepares_again(planned, done=rest, prepared=prepared, changed=changed):
        repeated |= prepare & set(done)
    return repeated


def prepares_again(
    planned: Plan, *, done: Collection[str], prepared: Collection[str], changed: bool = False
) -> bool:
    """True if a successful `prepare` must run again before the rest of a run.

    Args:
        planned: the run to continue with.
        done: its stages that succeeded.
        prepared: languages whose speech is prepared.
        changed: True if another image or client does the rest. `prepare` then runs first, on the
            CPU, so that an image that is too old for the run fails before a GPU is requested.
    """
    left = any(stage.name not in done for stage in planned.stages if stage.kind != "prepare")
    return left and (changed or not set(planned.spec.languages) <= set(prepared))
