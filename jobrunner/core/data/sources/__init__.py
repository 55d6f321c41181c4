"""Sources of speech: one module for each, found by its row in `catalog/corpora.py`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jobrunner.spec import RunSpec

if TYPE_CHECKING:
    from jobrunner.core.data.sources.base import Reader, Speech


def open_source(spec: RunSpec, language: str, scratch: Path) -> Speech:
    """Opens the speech that a spec names, in one language; see `Reader.open_source`."""
    source = spec.data.source
    reader = cast("Reader", importlib.import_module(source.facts.reader))
    return reader.open_source(source, spec, language, scratch)
