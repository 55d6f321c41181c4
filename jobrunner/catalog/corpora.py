"""Facts about the corpora that `--data` can name: how each is written, read and cited.

A corpus of the hub is a row here and a reader in `core/data/sources/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jobrunner.catalog.languages import Language


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A kind of source."""

    kind: str
    """The word before the colon of `--data`."""
    title: str
    """Name for people."""
    reader: str
    """Module of the core with `open_source` (see `core/data/sources/base.py`)."""
    place: Literal["none", "optional", "required"] = "none"
    """Need for a place after the colon: a folder of the submitting machine."""
    place_name: str = ""
    """Name of the place in help and messages: `PATH`."""
    light: str = ""
    """Module of `corpora/` with a light reader, for files of the submitting machine."""
    pinned: bool = False
    """True if the revision is the fingerprint of the files. The same files make the same run
    wherever they are, and they are in storage before any pod starts."""
    repo: str = ""
    """Id on the hub; empty if there is none."""
    licence: str = ""
    """The hub's name of the licence; empty if it is unknown."""
    config_of: Callable[[Language], str | None] | None = None
    """Gives the name of a language's part in the repository, or None if there is no such part.
    There is no function if only the files themselves show their language."""
    text_column: str = ""
    """Column with the transcript; if empty, it is found by name."""
    usual_train: tuple[str, ...] = ("train",)
    """Splits to train on when the spec names none."""
    usual_validation: str = "validation"
    """Split to validate on when the spec names none; if empty, clips are held out."""

    def config(self, language: Language) -> str:
        """Name of a language's part in the repository; empty if there is none."""
        return (self.config_of(language) if self.config_of else None) or ""

    @property
    def forms(self) -> list[str]:
        """Ways to write the source: `fleurs`, `fleurs:MIRROR`."""
        alone = [self.kind] if self.place != "required" else []
        return alone + ([f"{self.kind}:{self.place_name}"] if self.place != "none" else [])


CORPORA: dict[str, Corpus] = {
    corpus.kind: corpus
    for corpus in (
        # Conneau et al. 2022, arXiv 2205.12446. Whisper learns its transcripts with case and
        # punctuation. Its validation splits are small, so runs train on them too.
        Corpus(
            kind="fleurs",
            title="FLEURS",
            reader="jobrunner.core.data.sources.fleurs",
            place="optional",
            place_name="MIRROR",
            repo="google/fleurs",
            licence="cc-by-4.0",
            config_of=lambda language: language.fleurs,
            text_column="raw_transcription",
            usual_train=("train", "validation"),
            usual_validation="",
        ),
        Corpus(
            kind="folder",
            title="audio folder",
            reader="jobrunner.core.data.sources.folder",
            light="jobrunner.corpora.folder",
            place="required",
            place_name="PATH",
            pinned=True,
        ),
    )
}


def forms() -> str:
    """Every way to write a source, for help and messages: ``` `fleurs` or `folder:PATH` ```."""
    known = [f"`{form}`" for corpus in CORPORA.values() for form in corpus.forms]
    return f"{', '.join(known[:-1])} or {known[-1]}"
