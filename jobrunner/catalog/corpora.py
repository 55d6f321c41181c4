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
    """What stands before the colon of `--data`."""
    title: str
    """As people read it."""
    reader: str
    """Module of the core with `open_source` (see `core/data/sources/base.py`)."""
    place: Literal["none", "optional", "required"] = "none"
    """Whether something follows the colon: a folder of the machine that submits."""
    place_name: str = ""
    """What it is, in help and messages: `PATH`."""
    light: str = ""
    """Module of `corpora/` with a light reader, for files of the machine that submits."""
    pinned: bool = False
    """True if the files themselves are the revision, by their fingerprint: wherever they are, they
    make the same run, and storage gets them before any pod starts."""
    repo: str = ""
    """Id on the hub; empty where there is none."""
    licence: str = ""
    """As the hub names it; empty where it is not known."""
    config_of: Callable[[Language], str | None] | None = None
    """Name of a language's part in the repository, None for one that is not in it; no function
    where only the files themselves tell."""
    text_column: str = ""
    """Column with the transcript; empty: found by name."""
    usual_train: tuple[str, ...] = ("train",)
    """Splits to train on when the spec names none."""
    usual_validation: str = "validation"
    """Split that validates when the spec names none; empty: held out."""

    def config(self, language: Language) -> str:
        """Name of a language's part in the repository; empty where there is none."""
        return (self.config_of(language) if self.config_of else None) or ""

    @property
    def forms(self) -> list[str]:
        """How the source is written: `fleurs`, `fleurs:MIRROR`."""
        alone = [self.kind] if self.place != "required" else []
        return alone + ([f"{self.kind}:{self.place_name}"] if self.place != "none" else [])


CORPORA: dict[str, Corpus] = {
    corpus.kind: corpus
    for corpus in (
        # Conneau et al. 2022, arXiv 2205.12446. Its transcripts with case and punctuation are what
        # Whisper learns; its validation splits are small, so they train too.
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
