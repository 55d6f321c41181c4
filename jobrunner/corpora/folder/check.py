"""Checks of an audio folder before anything starts, without decoding a clip."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from jobrunner.corpora import splits
from jobrunner.corpora.counts import Checked, Counts
from jobrunner.corpora.folder import audio, durations, texts
from jobrunner.corpora.folder.audio import Faults
from jobrunner.corpora.folder.read import Clip, Contents, contents
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec

# Splits without a role that are counted by name.
MOST_NAMED = 4
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
) -> Checked:
    """Checks the speech of one language.

    Args:
        root: the audio folder, or a folder with one for each language.
        language: code of the language.
        data: columns and splits, if given.
        own: True for the run's own language.
        wanted: roles that are needed, from `splits.wanted`.

    Raises:
        SpecError: the folder cannot be used; says what is wrong, and what would be right.
    """
    found = contents(root, language, data, own=own)
    existing = list(dict.fromkeys(clip.split for clip in found.clips))
    choice = splits.choose(existing, data, wanted=wanted)
    role_of = {split: role for role, names in choice.roles.items() for split in names}
    roles: dict[str, list[Clip]] = {role: [] for role in choice.roles}
    for clip in found.clips:
        if clip.split in role_of:
            roles[role_of[clip.split]].append(clip)
    sizes = audio.sizes(clip for chosen in roles.values() for clip in chosen)
    faults = audio.faults(roles, sizes, found.names)
    lines = [*faults.warnings, *texts.warnings(roles, language, data), *_named_twice(roles)]
    _same_clip(roles, sizes)
    sentences = {role: [splits.sentence(c.text) for c in chosen] for role, chosen in roles.items()}
    contained = {
        role: (set(sentences[role]), {clip.speaker for clip in chosen})
        for role, chosen in roles.items()
    }
    lines += splits.overlaps(contained)
    parts: dict[str, list[Clip]] = dict(roles)
    if choice.train and not choice.validation:
        train, held = splits.held_out(roles["train"], sentences["train"], data.holdout)
        splits.check_held_out(len(held), sentences["train"], data.holdout)
        texts.check_some_text("validation", held, data)
        parts = {**roles, "train": train, "validation": held}
    counts = _counted(language, found, parts, faults)
    heard = [(c.path, sizes[c.name]) for c in parts.get("train", ()) if c.name in sizes and c.text]
    counts = replace(counts, train_seconds=durations.total(heard))
    return Checked(warnings=tuple(f"{language}: {line}" for line in lines), counts=counts)


def _counted(
    language: str, found: Contents, parts: Mapping[str, list[Clip]], faults: Faults
) -> Counts:
    """Which rows become clips, and why the others do not."""
    used = {clip.split for clips in parts.values() for clip in clips}
    left_out: Counter[str] = Counter()
    left_out["in other languages"] = found.rows - len(found.clips)
    unused = Counter(clip.split for clip in found.clips if clip.split not in used)
    if len(unused) > MOST_NAMED:
        left_out[f"in {len(unused)} other splits"] = unused.total()
    else:
        left_out.update({f"in split {split}": count for split, count in unused.items()})
    kept: Counter[str] = Counter()
    for role, clips in parts.items():
        named: set[str] = set()
        for clip in clips:
            if clip.name in faults.missing:
                left_out["missing"] += 1
            elif clip.name in named:
                left_out["named twice"] += 1
            elif clip.name in faults.unreadable:
                left_out["without audio"] += 1
            elif not clip.text:
                left_out["without a transcript"] += 1
            else:
                kept[role] += 1
                named.add(clip.name)
    return Counts(
        language=language,
        rows=found.rows,
        kept={role: kept[role] for role in ("train", "validation", "test") if role in parts},
        left_out={reason: count for reason, count in left_out.items() if count},
        held_out="validation" in parts and "validation" not in used,
    )


def _named_twice(roles: Mapping[str, list[Clip]]) -> Iterator[str]:
    for role, clips in roles.items():
        rows = Counter(clip.name for clip in clips)
        more = len(clips) - len(rows)
        if more:
            name, _ = rows.most_common(1)[0]
            yield (
                f"{more} of {len(clips)} rows of {role} name{'s' * (more == 1)} a file that an "
                f"earlier row names, "
                f"such as {name}; dropped."
            )


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
