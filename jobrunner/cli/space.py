"""Shared by the commands about room in storage: sizes, questions, the storage that is meant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from jobrunner.cli.output import say
from jobrunner.cli.select import configured_storage

if TYPE_CHECKING:
    from jobrunner.runner.space.free import Removal
    from jobrunner.runner.space.view import StorageView

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
STAYS = "Prepared data and base models stay: other runs may use them."


def size(count: int) -> str:
    """`812 B`, `3.4 MB`, `12 GB`: bytes in the unit that suits them."""
    amount = float(count)
    for unit in UNITS:
        if amount < 999.5 or unit == UNITS[-1]:
            break
        amount /= 1000
    return f"{amount:.1f} {unit}" if unit != "B" and amount < 9.95 else f"{amount:.0f} {unit}"


def counted(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def described(removal: Removal) -> str:
    """`12 objects, 3.4 MB: checkpoints 3.0 MB, logs 12 kB`."""
    if not removal.entries:
        return "nothing"
    amount = f"{counted(len(removal.entries), 'object')}, {size(removal.size)}"
    parts = ", ".join(f"{name} {size(part.size)}" for name, part in removal.parts.items())
    return f"{amount}: {parts}" if len(removal.parts) > 1 else amount


def agreed(question: str, *, yes: bool, otherwise: str = "Nothing was changed.") -> bool:
    """True if the user agrees, or cannot be asked: without a terminal nothing is asked.

    Args:
        question: what is asked.
        yes: True to ask nothing.
        otherwise: the answer to a user who does not agree.
    """
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    if click.confirm(question, err=True):
        return True
    say(otherwise)
    return False


def open_storage(url: str | None) -> StorageView:
    """The storage that `--storage` names, or the configured one.

    Raises:
        UsageError: it is a folder that is not there.
    """
    from jobrunner.runner.space.view import view

    place, endpoint = configured_storage(url)
    return view(place, endpoint=endpoint)
