"""Speech in the ordinary audio-folder form: audio files and a table with their transcripts.

    metadata.csv (.tsv, .jsonl, .parquet) at the root, or one in each split's folder
    columns: file_name, a transcript, and if known the speaker, the split, the language

A folder with one such folder per language (`speech/el`, `speech/en`) works too. The client uses
this room to report problems before anything starts; the core uses it too. It needs only the
standard library, except for metadata.parquet.
"""

from __future__ import annotations

import os
from pathlib import Path

from jobrunner.corpora import fingerprint, splits
from jobrunner.corpora.counts import Checked
from jobrunner.corpora.folder.check import check
from jobrunner.corpora.folder.read import Clip, locate, read
from jobrunner.spec import RunSpec, Source

__all__ = ["Clip", "check", "checked", "locate", "pinned", "read"]


def checked(source: Source, spec: RunSpec, language: str) -> Checked:
    """Facts about the speech of one language; see `LightReader.checked`."""
    wanted = splits.wanted(spec, language)
    return check(_root(source), language, spec.data, own=language == spec.lang, wanted=wanted)


def pinned(source: Source, spec: RunSpec) -> Source:
    """The source with its fingerprint; see `LightReader.pinned`.

    Only the run's own language is pinned: another language that is added to the folder later must
    not turn this run into another.
    """
    root = _root(source)
    folder, _ = locate(root, spec.lang)
    given = source.revision
    revision = fingerprint.pin("data.revision", given, folder, fingerprint.of_speech)
    return source.model_copy(update={"place": str(root), "revision": revision})


def _root(source: Source) -> Path:
    return Path(os.path.abspath(Path(source.place).expanduser()))
