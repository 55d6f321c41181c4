"""Checks of an audio folder before anything starts, without decoding a clip."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from jobrunner.corpora import splits
from jobrunner.corpora.folder.read import Clip, locate, read
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec

# Share of clips that may be missing on disk; `prepare` allows the same share of unreadable ones.
MOST_MISSING = 0.05
# Bytes from the middle of a file that are compared before whole files. MP3s of one bit rate often
# have equal sizes, but not equal content.
_SAMPLE = 1024


def check(
    root: Path,
    language: str,
    data: DataSpec,
    *,
    own: bool = True,
    wanted: Collection[str] = ("train", "test"),
) -> list[str]:
    """Warnings about the speech of one language, one line each.

    Args:
        root: the audio folder, or a folder with one for each language.
        language: code of the language.
        data: columns and splits, if given.
        own: True for the run's own language.
        wanted: roles that are needed, from `splits.wanted`.

    Raises:
        SpecError: the folder cannot be used; says what is wrong, and what would be right.
    """
    clips = read(root, language, data, own=own)
    existing = list(dict.fromkeys(clip.split for clip in clips))
    choice = splits.choose(existing, data, wanted=wanted)
    role_of = {split: role for role, names in choice.roles.items() for split in names}
    roles: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.split in role_of:
            roles[role_of[clip.split]].append(clip)
    used = [clip for chosen in roles.values() for clip in chosen]
    sizes = _sizes(locate(root, language, own=own)[0])
    warnings = [*_missing(used, sizes), *_empty(roles, data)]
    _same_clip(roles, sizes)
    contents = {
        role: ({splits.sentence(c.text) for c in chosen}, {c.speaker for c in chosen})
        for role, chosen in roles.items()
    }
    return [f"{language}: {line}" for line in (*warnings, *splits.overlaps(contents))]


def _sizes(folder: Path) -> dict[str, int]:
    """Relative path → bytes, of all files below a folder."""

    def walk(place: str, prefix: str) -> Iterator[tuple[str, int]]:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir():
                    yield from walk(entry.path, f"{prefix}{entry.name}/")
                elif entry.is_file():
                    yield prefix + entry.name, entry.stat().st_size

    return dict(walk(str(folder), ""))


def _missing(clips: list[Clip], sizes: Mapping[str, int]) -> list[str]:
    gone = [clip for clip in clips if clip.name not in sizes]
    if not gone:
        return []
    line = f"{len(gone)} of {len(clips)} audio files are missing, such as {gone[0].path}."
    if len(gone) > MOST_MISSING * len(clips):
        raise SpecError(
            "data.source", line, hint="File names are relative to the folder of the table."
        )
    return [line]


def _empty(roles: Mapping[str, list[Clip]], data: DataSpec) -> list[str]:
    lines = []
    for role, clips in roles.items():
        empty = sum(not clip.text for clip in clips)
        if empty == len(clips):
            raise SpecError(
                "data.text_column",
                f"all {empty} transcripts of {role} are empty.",
                hint=f"Another column than {data.text_column or 'the one found'} may hold them.",
            )
        if empty:
            lines.append(f"{empty} of {len(clips)} transcripts of {role} are empty; dropped.")
    return lines


def _same_clip(roles: Mapping[str, list[Clip]], sizes: Mapping[str, int]) -> None:
    """Refuses clips that are in train and in test: the same path, or the same bytes.

    Raises:
        SpecError: there is such a clip.
    """
    train, test = roles.get("train", []), roles.get("test", [])
    trained = {clip.name for clip in train}
    both = [(clip.name, clip.name) for clip in test if clip.name in trained]
    both = both or _same_bytes(train, test, sizes)
    if both:
        raise SpecError(
            "data.source",
            f"{len(both)} clips are in train and in test, such as {both[0][0]} ({both[0][1]}).",
            hint="Take them out of one of the two.",
        )


def _same_bytes(
    train: list[Clip], test: list[Clip], sizes: Mapping[str, int]
) -> list[tuple[str, str]]:
    """Compares sizes, then samples, then whole files; each only if the one before agrees."""
    present = [[clip for clip in clips if clip.name in sizes] for clips in (train, test)]
    groups = [(present[0], present[1])]
    keys: tuple[Callable[[Clip], object], ...] = (
        lambda clip: sizes[clip.name],
        lambda clip: _digest(clip.path, sample=True),
        lambda clip: _digest(clip.path, sample=False),
    )
    for key in keys:
        groups = [alike for ours, theirs in groups for alike in _alike(ours, theirs, key)]
    return [(clip.name, ours[0].name) for ours, theirs in groups for clip in theirs]


def _alike(
    ours: Iterable[Clip], theirs: Iterable[Clip], key: Callable[[Clip], object]
) -> Iterator[tuple[list[Clip], list[Clip]]]:
    groups: dict[object, tuple[list[Clip], list[Clip]]] = defaultdict(lambda: ([], []))
    for clip in theirs:
        groups[key(clip)][1].append(clip)
    for clip in ours:
        groups[key(clip)][0].append(clip)
    yield from (group for group in groups.values() if all(group))


def _digest(path: Path, *, sample: bool) -> bytes:
    """SHA-256 of a file, or its path if it cannot be read: a path equals no other's digest."""
    try:
        with path.open("rb") as file:
            if not sample:
                return hashlib.file_digest(file, "sha256").digest()
            file.seek(max(0, os.fstat(file.fileno()).st_size // 2 - _SAMPLE // 2))
            return hashlib.sha256(file.read(_SAMPLE)).digest()
    except OSError:
        return os.fsencode(path)
