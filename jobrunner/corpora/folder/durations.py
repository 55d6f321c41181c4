"""How much speech a folder has, estimated from the first bytes of some of its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jobrunner.corpora import heads

# Files that are opened, evenly spread; more would not change the mean by much.
SAMPLE = 200
# Share of them whose length must be readable.
LEAST_READ = 0.5


def total(files: Sequence[tuple[Path, int]]) -> float:
    """Seconds of sound in all files; 0 if most of them do not say how long they are.

    Args:
        files: path and bytes of each.
    """
    step = max(1, len(files) // SAMPLE)
    chosen = files[::step]
    read = [(heads.seconds(_head(path), size), size) for path, size in chosen]
    known = [(seconds, size) for seconds, size in read if seconds > 0]
    if not known or len(known) < LEAST_READ * len(chosen):
        return 0.0
    # By bytes rather than by files: clips that were not opened may be longer than these.
    speed = sum(seconds for seconds, _ in known) / sum(size for _, size in known)
    return speed * sum(size for _, size in files)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(heads.SIZE)
    except OSError:
        return b""
