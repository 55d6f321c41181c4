"""Speech in the ordinary audio-folder form: audio files and a table with their transcripts.

    metadata.csv (.tsv, .jsonl, .parquet) at the root, or one in each split's folder
    columns: file_name, a transcript, and if known the speaker, the split, the language

A folder that holds one such folder a language (`speech/el`, `speech/en`) serves as well. Used by
the client, to say what is wrong before anything starts, and by the core: standard library only,
but for metadata.parquet.
"""

from __future__ import annotations

import os
from pathlib import Path

from jobrunner.corpora import fingerprint, splits
from jobrunner.corpora.folder.check import check
from jobrunner.corpora.folder.read import Clip, locate, read
from jobrunner.spec import RunSpec, Source

__all__ = ["Clip", "check", "locate", "pinned", "read", "warnings"]


def warnings(source: Source, spec: RunSpec, language: str) -> list[str]:
    """As `LightReader.warnings`."""
    wanted = splits.wanted(spec, language)
    return check(_root(source), language, spec.data, own=language == spec.lang, wanted=wanted)


def pinned(source: Source, spec: RunSpec) -> Source:
    """As `LightReader.pinned`.

    The run's own language alone is pinned: another language that is added to the folder later must
    not make another run of this one.
    """
    root = _root(source)
    folder, _ = locate(root, spec.lang)
    given = source.revision
    revision = fingerprint.pin("data.revision", given, folder, fingerprint.of_speech)
    return source.model_copy(update={"place": str(root), "revision": revision})


def _root(source: Source) -> Path:
    return Path(os.path.abspath(Path(source.place).expanduser()))
