"""The report of a prepared data set, and the check that train and test share no clip."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobrunner.core.data import layout
from jobrunner.core.data.layout import SAMPLE_RATE, SPLITS, Split
from jobrunner.corpora import splits
from jobrunner.errors import DataError
from jobrunner.storage import Storage


@dataclass
class _Content:
    """Content by which two splits are compared."""

    sounds: dict[int, str] = field(default_factory=dict)
    """Hash of the samples → clip."""
    sentences: set[str] = field(default_factory=set)
    speakers: set[str] = field(default_factory=set)


def write_report(storage: Storage, prefix: str, language: str) -> dict[str, Any]:
    """Writes `report.json` over all complete splits.

    Returns:
        `language`, `splits` (each with `utterances`, `hours`, `speakers`, `sentences`, `clips`
        in the source and `dropped` by reason) and `warnings`, one line each.

    Raises:
        DataError: a clip is in train and in test.
    """
    by_split: dict[str, Any] = {}
    contents: dict[Split, _Content] = {}
    held_out = False
    for split in SPLITS:
        manifest = layout.read_whole(storage, prefix, split)
        if manifest is None:
            continue
        held_out = held_out or bool(manifest.get("held_out"))
        content = contents[split] = _read_content(storage, prefix, manifest)
        by_split[split] = {
            "utterances": manifest["utterances"],
            "hours": round(manifest["samples"] / SAMPLE_RATE / 3600, 4),
            "speakers": len(content.speakers),
            "sentences": len(content.sentences),
            "clips": manifest["clips"],
            "dropped": manifest["dropped"],
        }
    warnings = _check_shared_clips(contents)
    # Clips held out for validation share speakers with the training clips on purpose.
    compared = {s: c for s, c in contents.items() if not (held_out and s == "validation")}
    warnings += splits.overlaps({s: (c.sentences, c.speakers) for s, c in compared.items()})
    report = {"language": language, "splits": by_split, "warnings": warnings}
    text = json.dumps(report, indent=1, ensure_ascii=False)
    storage.write(layout.report_key(prefix), text.encode())
    return report


def check_train_test_leak(
    storage: Storage, prefix: str, split: Split, sounds: Mapping[int, str]
) -> None:
    """Checks that a split shares no clip with its opposite (train and test) before it is published.

    Args:
        storage: storage of the data set.
        prefix: prefix of the data set.
        split: the split that is nearly complete.
        sounds: hash of the samples → clip, of that split.

    Raises:
        DataError: a clip of it is in train and in test.
    """
    opposite: dict[Split, Split] = {"train": "test", "test": "train"}
    if split not in opposite:
        return
    manifest = layout.read_whole(storage, prefix, opposite[split])
    if manifest:
        other = _read_content(storage, prefix, manifest)
        _check_shared_clips({split: _Content(sounds=dict(sounds)), opposite[split]: other})


def _read_content(storage: Storage, prefix: str, manifest: dict[str, Any]) -> _Content:
    content = _Content()
    for line in layout.read_index(storage, prefix, manifest):
        content.sounds[int(line["digest"], 16)] = line["clip"]
        content.sentences.add(splits.sentence(line["text"]))
        content.speakers.add(line["speaker"])
    content.speakers.discard("")
    return content


def _check_shared_clips(contents: dict[Split, _Content]) -> list[str]:
    """Warnings about clips that two splits share; an error if these are train and test."""
    warnings = []
    order = [split for split in SPLITS if split in contents]
    for at, ours in enumerate(order):
        for theirs in order[at + 1 :]:
            first, second = contents[ours].sounds, contents[theirs].sounds
            shared = [sound for sound in second if sound in first]
            if not shared:
                continue
            names = f"such as {second[shared[0]]} ({first[shared[0]]})"
            line = f"{len(shared)} clips of {theirs} are in {ours} too, {names}."
            if (ours, theirs) == ("train", "test"):
                raise DataError(line, hint="Take them out of one of the two.")
            warnings.append(line)
    return warnings
