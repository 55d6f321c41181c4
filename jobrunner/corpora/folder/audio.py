"""Checks of audio files: those that are missing, and those that are not audio."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobrunner.corpora import heads
from jobrunner.corpora.folder.names import Names
from jobrunner.corpora.folder.read import Clip
from jobrunner.errors import SpecError

# Share of a split's clips that may be missing or no audio; `prepare` allows the same share of
# unreadable ones.
MOST_MISSING = 0.05
# Share of clips that are of no known format. libsndfile may read some of them.
MOST_UNKNOWN = 0.5
# Files that are opened of a large folder, besides the small ones: pointers of Git LFS have 130
# bytes, most error pages less than 2 KB. To open 10,000 files takes 0.2 to 1 s.
SAMPLE = 500
_SMALL = 2048
_USUAL = "File names are relative to the folder of the table."
_TYPES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (lambda mode: stat.S_ISBLK(mode) or stat.S_ISCHR(mode), "a device"),
)


def sizes(clips: Iterable[Clip]) -> dict[str, int]:
    """Name → bytes of the audio files that exist.

    Raises:
        SpecError: one is a folder, a pipe, a socket, a device, or may not be read.
    """
    found: dict[str, int] = {}
    for clip in clips:
        if clip.name in found:
            continue
        try:
            status = os.stat(f"{clip.place}/{clip.name}")
        except PermissionError as error:
            raise SpecError("data.source", f"{clip.path}: {error.strerror}.") from None
        except OSError:  # missing, a broken link, or a link to itself
            continue
        for matches, what in _TYPES:
            if matches(status.st_mode):
                raise SpecError("data.source", f"{clip.path} is {what}, not an audio file.")
        found[clip.name] = status.st_size
    return found


@dataclass(frozen=True, kw_only=True)
class Faults:
    """The audio files that cannot be used."""

    warnings: tuple[str, ...]
    """One line each."""
    missing: frozenset[str]
    """Names of those that do not exist."""
    unreadable: frozenset[str]
    """Names of those that certainly are not audio."""


def faults(roles: Mapping[str, Sequence[Clip]], present: Mapping[str, int], names: Names) -> Faults:
    """Looks at the beginning of each audio file.

    Args:
        roles: role → its clips.
        present: from `sizes`.
        names: the names on disk.

    Raises:
        SpecError: too many are missing or no audio, or one may not be read.
    """
    every = {clip.name: clip for clips in roles.values() for clip in clips}
    missing = frozenset(every.keys() - present.keys())
    kinds = _kinds([clip for name, clip in every.items() if name in present], present)
    lines = []
    if missing:
        first = next(clip for name, clip in every.items() if name in missing)
        near = names.nearest(first.name)
        are = ("is missing", "are missing")
        line = _line(roles, missing, are, first, most=MOST_MISSING, hint=near or _USUAL)
        lines.append(f"{line} {near}".strip())
    for kind in dict.fromkeys(kinds.values()):
        bad = frozenset(name for name, found in kinds.items() if found == kind)
        first = next(clip for name, clip in every.items() if name in bad)
        most = MOST_MISSING if kind.sure else MOST_UNKNOWN
        are = (f"is {kind.one}", f"are {kind.many}")
        line = _line(roles, bad, are, first, most=most, hint=kind.hint)
        lines.append(f"{line} {kind.hint}")
    unreadable = frozenset(name for name, kind in kinds.items() if kind.sure)
    if both := missing | unreadable:
        first = next(clip for name, clip in every.items() if name in both)
        are = ("is missing or no audio", "are missing or no audio")
        _line(roles, both, are, first, most=MOST_MISSING, hint="Bring them, or take them out.")
    return Faults(warnings=tuple(lines), missing=missing, unreadable=unreadable)


def _kinds(clips: Sequence[Clip], sizes: Mapping[str, int]) -> dict[str, heads.Kind]:
    """Name → what it is, of the files that are not audio.

    Of many files only the small ones and some others are opened, unless one of these is not audio.
    """
    every = range(len(clips))
    step = max(1, len(clips) // SAMPLE)
    sample = set(every[::step]) | {at for at in every if sizes[clips[at].name] < _SMALL}
    found: dict[str, heads.Kind] = {}
    for at in sorted(sample):
        if kind := _instead(clips[at].path, sizes[clips[at].name]):
            found[clips[at].name] = kind
    if any(sizes[name] >= _SMALL for name in found):
        for at in sorted(set(every) - sample):
            if kind := _instead(clips[at].path, sizes[clips[at].name]):
                found[clips[at].name] = kind
    return found


def _line(
    roles: Mapping[str, Sequence[Clip]],
    bad: Collection[str],
    are: tuple[str, str],
    first: Clip,
    *,
    most: float,
    hint: str,
) -> str:
    """One line that counts bad clips.

    Args:
        roles: role → its clips.
        bad: names of the bad ones.
        are: what is wrong with one, and with several.
        first: an example.
        most: share that may be bad.
        hint: what to do.

    Raises:
        SpecError: they are a larger share of all clips, or of one role, than `most`.
    """
    counts = {role: sum(clip.name in bad for clip in clips) for role, clips in roles.items()}
    total = sum(map(len, roles.values()))
    every = sum(counts.values())
    line = f"{every} of {total} audio files {are[every > 1]}, such as {first.path}."
    if every > most * total:
        raise SpecError("data.source", line, hint=hint)
    for role, clips in roles.items():
        if counts[role] > most * len(clips):
            one = next(clip for clip in clips if clip.name in bad)
            raise SpecError(
                "data.source",
                f"{counts[role]} of {len(clips)} audio files of {role} "
                f"{are[counts[role] > 1]}, such as {one.path}.",
                hint=hint,
            )
    return line


def _instead(path: Path, size: int) -> heads.Kind | None:
    if not size:
        return heads.instead_of_audio(b"", path.name)
    try:
        with path.open("rb", buffering=0) as file:
            return heads.instead_of_audio(os.read(file.fileno(), heads.SIZE), path.name)
    except OSError as error:
        raise SpecError("data.source", f"{path}: {error.strerror or error}.") from None
