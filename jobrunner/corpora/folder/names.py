"""Names of audio files as tables write them, and as they are on disk."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from jobrunner.corpora import tree
from jobrunner.errors import SpecError

# Categories of characters that no file name needs: control characters, halves of characters,
# separators of lines and paragraphs.
_REFUSED = frozenset(("Cc", "Cs", "Zl", "Zp"))


def inside(folder: Path, name: str, where: str) -> str:
    """The name relative to the language's folder.

    Args:
        folder: the table's folder, relative to the language's.
        name: the name in the table.
        where: table and row, for errors.

    Raises:
        SpecError: it is empty or leads out of the folder.
    """
    if not name.strip():
        raise SpecError("data.source", f"{where}: the file name is empty.")
    relative = os.path.normpath(f"{folder}/{name}")
    out = name.startswith("/") or f"{relative}/".startswith("../")
    if out or not (name.isprintable() or all(map(_allowed, name))):
        raise SpecError(
            "data.source",
            f"{where}: {name[:60]!r} is not a file inside the folder.",
            hint="File names are relative to the folder of the table.",
        )
    return relative


def _allowed(character: str) -> bool:
    return unicodedata.category(character) not in _REFUSED


class Names:
    """The names of the files below a folder.

    Args:
        place: the folder. It is read when a name is not found as it is written.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    def on_disk(self, name: str) -> str:
        """The name of the file that a table means: accents may be composed (NFC) or not (NFD)."""
        if name.isascii() or os.path.lexists(f"{self._place}/{name}"):
            return name
        alike = self._composed.get(_composed(name), ())
        return alike[0] if len(alike) == 1 else name

    def nearest(self, name: str) -> str:
        """Says how the most similar file differs from a missing one; empty if none is similar.

        Differences that eyes do not see are spelled by code points.
        """
        for form in (_skeleton, _without_suffix, _last_part):
            alike = _grouped(self._existing, form).get(form(name), ())
            if len(alike) == 1 or (alike and form is _skeleton):
                return f"There is {_difference(name, alike[0])}."
        return ""

    @cached_property
    def _existing(self) -> list[str]:
        return [path.relative_to(self._place).as_posix() for path, _ in tree.files(self._place)]

    @cached_property
    def _composed(self) -> dict[str, list[str]]:
        return _grouped(self._existing, _composed)


def _grouped(names: Iterable[str], form: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(form(name), []).append(name)
    return groups


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _skeleton(name: str) -> str:
    """The name without what people overlook: case, spaces, joiners, composition, `\\` for `/`."""
    plain = unicodedata.normalize("NFKC", name.replace("\\", "/")).casefold()
    hidden = ("Cf", "Zs", "Cc")
    return "".join(each for each in plain if unicodedata.category(each) not in hidden)


def _without_suffix(name: str) -> str:
    """The skeleton without the end that names the format: `.wav`."""
    skeleton = _skeleton(name)
    stem, _, suffix = skeleton.rpartition(".")
    return stem if stem and suffix.isalnum() else skeleton


def _last_part(name: str) -> str:
    return name.rpartition("/")[2]


def _difference(name: str, candidate: str) -> str:
    """The candidate, and where it differs from the name if that is hard to see."""
    start = _shared(name, candidate)
    end = _shared(name[start:][::-1], candidate[start:][::-1])
    ours, theirs = name[start : len(name) - end], candidate[start : len(candidate) - end]
    both = ours + theirs
    visible = both.isascii() and both.isprintable() and " " not in both
    if visible or len(both) > 12:
        return candidate
    return f"{candidate}, with {_points(theirs)} where the table has {_points(ours)}"


def _shared(ours: str, theirs: str) -> int:
    """Characters that two texts have in common at their start."""
    pairs = enumerate(zip(ours, theirs, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(ours), len(theirs)))


def _points(text: str) -> str:
    return " ".join(f"U+{ord(each):04X}" for each in text) or "nothing"
