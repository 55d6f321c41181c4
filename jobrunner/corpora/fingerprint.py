"""The fingerprint of a folder: it pins a model or data set that has no revision of its own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from jobrunner.corpora import tree
from jobrunner.errors import SpecError

# Bytes that are hashed at each end of a long audio file. Whole files would take minutes for a
# corpus of 100 GB; name, size and both ends reveal re-encoded or replaced audio.
_END = 4096
_TABLES = frozenset((".csv", ".tsv", ".jsonl", ".parquet"))


def of_model(folder: Path) -> str:
    """16 hex digits over names, sizes and contents of all files. Raises OSError."""
    return _digest(folder, ends_only=False)


def of_speech(folder: Path) -> str:
    """16 hex digits over a folder of speech. Long audio files are hashed only at both ends."""
    return _digest(folder, ends_only=True)


def pin(field: str, given: str, folder: Path, digest: Callable[[Path], str]) -> str:
    """Returns the fingerprint of a folder, which must equal the given one if there is one.

    Args:
        field: field of the spec, for errors.
        given: the fingerprint in the spec; empty if there is none.
        folder: the folder to pin.
        digest: `of_model` or `of_speech`.

    Raises:
        SpecError: a file cannot be read, or the fingerprint differs.
    """
    try:
        current = digest(folder)
    except OSError as error:
        raise SpecError(field, f"{error.filename}: {error.strerror}.") from None
    if given not in {"", current}:
        raise SpecError(
            field,
            f"is {given}, and {folder} is {current} now.",
            hint="Bring the old files back, or leave the revision out to start another run.",
        )
    return current


def _digest(folder: Path, *, ends_only: bool) -> str:
    total = hashlib.sha256()
    for path, size in tree.files(folder):
        # A name that is not UTF-8 keeps its bytes.
        about = f"{path.relative_to(folder).as_posix()}\0{size}\0"
        total.update(about.encode(errors="surrogateescape"))
        with path.open("rb") as file:
            if ends_only and size > 2 * _END and path.suffix not in _TABLES:
                total.update(file.read(_END))
                file.seek(-_END, os.SEEK_END)
                total.update(file.read(_END))
            else:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]
