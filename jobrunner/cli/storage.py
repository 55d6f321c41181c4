"""`jobrunner storage du`, `jobrunner storage check` and `jobrunner storage prune`."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from jobrunner.cli.options import Finite, output_option
from jobrunner.cli.output import columns, escape, folded, out, say, structured
from jobrunner.cli.select import Place, place_options, reader
from jobrunner.cli.space import agreed, counted, open_storage, size
from jobrunner.errors import JobrunnerError

if TYPE_CHECKING:
    from jobrunner.runner.space.check import CheckUp
    from jobrunner.runner.space.contents import Complete
    from jobrunner.runner.space.inventory import Folder, Inventory, SharedFolder

HEAD = ("RUN", "CHECKPOINTS", "EXPORT", "RESULTS", "LOGS", "TOTAL")
SECONDS_A_DAY = 86_400
# Runs to name below a data set or a model in the table; the other forms name all.
NAMED = 3


@click.group(
    epilog="""\b
Examples:
  jobrunner storage du
  jobrunner storage check --repair --dry-run
"""
)
def command() -> None:
    """Show, check and free what is in storage."""


@command.command(
    epilog="""\b
Examples:
  jobrunner storage du
  jobrunner storage du --storage s3://speech/runs -o json
"""
)
@click.option("--storage", metavar="URL", help="The storage to look at.  [default: as configured]")
@output_option("table", "json", "yaml")
def du(storage: str | None, kind: str) -> None:
    """Show what takes how much room, and which runs use what is shared.

    Prepared data and base models are shared by runs; checkpoints, exports, results and logs are
    each run's own. Sizes are of the objects; 1 MB is 1,000,000 bytes.
    """
    held = open_storage(storage).inventory()
    if kind != "table":
        out(structured(kind, _records(held)))
        return
    if not held.shared and not held.runs:
        say(f"{escape(held.url)} holds nothing of jobrunner.")
        return
    for title, folders in (("PREPARED DATA", held.data), ("BASE MODELS", held.models)):
        if folders:
            out(_shared(title, folders))
            out("")
    if held.runs:
        out(_runs(held))
        out("")
    out(_total(held))


@command.command(
    epilog="""\b
Examples:
  jobrunner storage check
  jobrunner storage check --deep --storage s3://speech/runs
  jobrunner storage check --repair --dry-run
"""
)
@click.option("--storage", metavar="URL", help="The storage to check.  [default: as configured]")
@click.option("--deep", is_flag=True, help="Read every object and compare its SHA-256.")
@click.option("--repair", is_flag=True, help="Have what is damaged made again.")
@click.option("--dry-run", is_flag=True, help="With --repair: say what it would do and stop.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nothing is asked.")
@place_options
def check(
    storage: str | None, deep: bool, repair: bool, dry_run: bool, yes: bool, place: Place
) -> None:
    """Check that no object is missing or damaged.

    Looks at complete data, models, exports and checkpoints: is each object there, with its size.
    Prints a line for each that is not, and ends with exit code 1 if there are any.

    --repair makes damaged folders count as incomplete: the next submit of a run that needs one
    prepares or fetches what is missing. It also removes half-written data and models that no run
    uses and that nobody has written to for a day. What a running run needs is left alone.
    """
    if dry_run and not repair:
        raise click.UsageError("--dry-run goes with --repair.")
    where = open_storage(storage)
    live = reader(place).live(where.url) if repair else set()
    if deep:
        say("Reading every object; that takes as long as a download of all of them.")
    found = where.check(deep=deep, live=live)
    for damage in found.damages:
        out(escape(damage.line))
    if not repair:
        _end(found, len(found.damaged), 0, _repairing(storage, deep))
        return
    damaged = [folder for folder in found.damaged if not found.busy(folder, live)]
    for folder in found.damaged:
        if run := found.busy(folder, live):
            say(f"{escape(folder.prefix)} is left alone: {run} is running.")
    left = len(found.damaged) - len(damaged)
    if damaged or found.leftovers:
        _say_plan(found, damaged)
        asked = f"Repair {counted(len(damaged) + len(found.leftovers), 'folder')}?"
        if dry_run or not agreed(asked, yes=yes):
            left = len(found.damaged)
        else:
            where.repair(found, damaged)
    _end(found, left, len(found.damaged) - left, _repairing(storage, deep))


@command.command(
    epilog="""\b
Examples:
  jobrunner storage prune --dry-run
  jobrunner storage prune --older-than 7 --storage s3://speech/runs
"""
)
@click.option("--storage", metavar="URL", help="The storage to free.  [default: as configured]")
@click.option(
    "--older-than",
    type=Finite(min=0),
    default=1.0,
    metavar="DAYS",
    help="Only what nobody has written to for this many days.  [default: 1]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be removed and stop.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nothing is asked.")
@place_options
def prune(storage: str | None, older_than: float, dry_run: bool, yes: bool, place: Place) -> None:
    """Remove prepared data and base models that no run uses.

    Runs are those whose records are in this storage. What they use stays, also when they have
    ended. A submit prepares data and fetches a model again where they are missing.
    """
    where = open_storage(storage)

    def look() -> tuple[SharedFolder, ...]:
        before = time.time() - older_than * SECONDS_A_DAY
        return where.unused(live=reader(place).live(where.url), before=before)

    found = look()
    if not found:
        say(f"Nothing in {escape(where.url)} is without a run that uses it.")
        return
    for folder in found:
        say(
            f"  {escape(folder.prefix)}: {counted(len(folder.entries), 'object')}, "
            f"{size(folder.size)}"
        )
    freed = f"{counted(len(found), 'folder')}, {size(_size(found))}"
    if dry_run:
        out("\n".join(folder.prefix for folder in found))
        say(f"Would be removed: {freed}.")
    elif agreed(f"Remove {freed}, for good?", yes=yes):
        # Looked at once more: a run may have been submitted meanwhile.
        still = {folder.prefix for folder in look()}
        gone = tuple(folder for folder in found if folder.prefix in still)
        where.remove(gone)
        for folder in gone:
            out(folder.prefix)
        say(f"Removed: {counted(len(gone), 'folder')}, {size(_size(gone))}.")


def _repairing(storage: str | None, deep: bool) -> str:
    """The command that repairs what a check has found."""
    where = f" --storage {shlex.quote(storage)}" if storage else ""
    return f"jobrunner storage check --repair{' --deep' if deep else ''}{where}"


def _say_plan(found: CheckUp, damaged: list[Complete]) -> None:
    for folder in damaged:
        runs = found.users[folder.prefix]
        if folder.whole:
            outcome = "is removed; its run resumes from another checkpoint, or starts over"
        else:
            outcome = "counts as incomplete; a submit that needs it makes it complete"
        needed = f" ({_names(runs)})" if runs and not folder.whole else ""
        say(folded(f"{escape(folder.prefix)} {outcome}{needed}.", 0, err=True))
    for left in found.leftovers:
        amount = f"{counted(len(left.entries), 'object')}, {size(left.size)}"
        say(f"{escape(left.prefix)} is half-written, unused, and removed: {amount}.")


def _end(found: CheckUp, left: int, repaired: int, repairing: str) -> None:
    """Says the outcome; raises an error if damage is left."""
    if not found.holds_something:
        say(f"{escape(found.url)} holds nothing of jobrunner.")
        return
    say(f"{counted(found.folders, 'complete folder')} in {escape(found.url)}.")
    if repaired:
        say(f"{counted(repaired, 'folder')} repaired.")
    if left:
        raise JobrunnerError(
            f"{counted(left, 'folder')} {'is' if left == 1 else 'are'} damaged.",
            hint=f"`{repairing}` has them made again.",
        )
    if not repaired:
        say("Nothing is damaged.")


def _shared(title: str, folders: tuple[Any, ...]) -> str:
    sizes = [size(folder.size) for folder in folders]
    width = max(map(len, sizes))
    head = (title, f"{'SIZE':>{width}}", "WHAT")
    rows = [
        (folder.prefix, f"{shown:>{width}}", folder.name)
        for folder, shown in zip(folders, sizes, strict=True)
    ]
    first, *lines = columns(head, rows).splitlines()
    table = [first]
    for line, folder in zip(lines, folders, strict=True):
        table += [line, f"    {folded(_names(folder.runs) or 'no run in storage', 4)}"]
    return "\n".join(table)


def _names(runs: tuple[str, ...]) -> str:
    more = len(runs) - NAMED
    return ", ".join(runs[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _runs(held: Inventory) -> str:
    """The table of runs; where the terminal is too narrow, a run's figures are below its id."""
    table = [
        [run.run]
        + [size(run.parts[name.lower()].size) for name in HEAD[1:-1]]
        + [size(run.whole.size)]
        for run in held.runs
    ]
    widths = [max(map(len, column)) for column in zip(HEAD, *table, strict=True)]
    wide = sum(widths) + 2 * (len(widths) - 1)
    narrow = sys.stdout.isatty() and wide > shutil.get_terminal_size().columns
    lines = []
    for first, *others in [list(HEAD), *table]:
        figures = "  ".join(f"{cell:>{w}}" for cell, w in zip(others, widths[1:], strict=True))
        if narrow:
            lines += [first, f"    {figures}"]
        else:
            lines.append(f"{first:<{widths[0]}}  {figures}")
    return "\n".join(lines)


def _total(held: Inventory) -> str:
    sums = {"prepared data": _size(held.data), "base models": _size(held.models)}
    for run in held.runs:
        for name, part in run.parts.items():
            sums[name] = sums.get(name, 0) + part.size
    parts = ", ".join(f"{name} {size(count)}" for name, count in sums.items() if count)
    return folded(f"{size(sum(sums.values()))} in {escape(held.url)}: {parts}.", 0)


def _size(folders: tuple[Any, ...]) -> int:
    return sum(folder.size for folder in folders)


def _records(held: Inventory) -> dict[str, Any]:
    def facts(folder: Folder) -> dict[str, int]:
        return {"bytes": folder.size, "objects": len(folder.entries)}

    def shared(folders: tuple[Any, ...]) -> list[dict[str, Any]]:
        return [
            {"prefix": each.prefix, "name": each.name, **facts(each), "runs": list(each.runs)}
            for each in folders
        ]

    runs = [
        {
            "run": run.run,
            **facts(run.whole),
            "parts": {name: facts(part) for name, part in run.parts.items()},
        }
        for run in held.runs
    ]
    total = _size(held.shared) + sum(run.whole.size for run in held.runs)
    return {
        "storage": held.url,
        "bytes": total,
        "data": shared(held.data),
        "models": shared(held.models),
        "runs": runs,
    }
