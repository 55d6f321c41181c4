"""Light readers of corpora that the client and the core share; splits and fingerprints.

A corpus of local files has a reader here that the client can import. It reports problems before
anything starts, and pins the files.
"""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from jobrunner.corpora.counts import Checked
from jobrunner.spec import RunSpec, Source


class LightReader(Protocol):
    """The module of a corpus of local files. It decodes nothing and imports nothing heavy."""

    def checked(self, source: Source, spec: RunSpec, language: str) -> Checked:
        """Warnings about the speech of one language, and how many clips each split gets.

        Raises:
            SpecError: the speech cannot be used; says what is wrong, and what would be right.
        """
        ...

    def pinned(self, source: Source, spec: RunSpec) -> Source:
        """The source with an absolute place and the fingerprint of its files.

        Raises:
            SpecError: files are missing, or are not those that the given revision pins.
        """
        ...


def light_reader(source: Source) -> LightReader | None:
    """The light reader of a source; None if only `prepare` can read it."""
    module = source.facts.light
    return cast("LightReader", importlib.import_module(module)) if module else None
