"""Writes a file of a report, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def save(path: Path, text: str) -> None:
    """Writes a text; if that fails, what was at the path stays as it was.

    Raises:
        OSError: it cannot be written.
    """
    if path.exists() and not path.is_file():
        # A pipe or a device: it can only be written in place.
        path.write_text(text, encoding="utf-8")
        return
    target = path.resolve()
    partial = target.with_name(f".{target.name[:200]}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
