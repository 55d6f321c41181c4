"""Sources of a run's speech. Only this module parses the text of a source."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from jobrunner.catalog import corpora, languages
from jobrunner.catalog.corpora import Corpus
from jobrunner.errors import SpecError
from jobrunner.spec.types import Holdout, NotNegative, Positive, Section, Text, slug

# The field that people set; it becomes `data.sources`.
FIELD = "data.source"


class Source(Section):
    """One source of speech."""

    kind: Text = Field(description="Kind of the source, such as `fleurs` or `folder`.")
    place: Text = Field("", description="Folder that it is read from, where the kind has one.")
    revision: Text = Field(
        "", description="Pins it: a hub revision, or the fingerprint of a folder."
    )
    weight: Positive = Field(1.0, description="Share among several sources.")

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in corpora.CORPORA:
            raise ValueError(f"{kind[:60]!r} is not one of {', '.join(corpora.CORPORA)}")
        return kind

    @classmethod
    def parse(cls, text: str, *, revision: str = "") -> Source:
        """Parses a text such as `folder:speech/welsh`.

        Raises:
            SpecError: the text is not a source.
        """
        kind, colon, place = text.partition(":")
        facts = corpora.CORPORA.get(kind)
        wants = facts.place if facts else "none"
        allowed = {"none": not colon, "optional": bool(place) or not colon, "required": bool(place)}
        if facts is None or not allowed[wants]:
            raise SpecError(FIELD, f"{text[:60]!r} is not {corpora.forms()}.")
        try:
            return cls(kind=kind, place=place, revision=revision)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = "data.revision" if "revision" in first["loc"] else FIELD
            problem = first["msg"].removeprefix("Value error, ")
            raise SpecError(field, f"{problem[0].lower()}{problem[1:]}.") from None

    @property
    def facts(self) -> Corpus:
        """Facts about its kind."""
        return corpora.CORPORA[self.kind]

    @property
    def text(self) -> str:
        """The source as it is written on the command line."""
        return f"{self.kind}:{self.place}" if self.place else self.kind

    @property
    def folder(self) -> Path | None:
        """The folder to read it from, if it has one."""
        return Path(self.place).expanduser() if self.place else None

    @property
    def is_pinned(self) -> bool:
        """True if its revision is the fingerprint of its files."""
        return self.facts.pinned

    @property
    def name(self) -> str:
        """Short name for results and reports: that of the corpus, or of the folder."""
        return slug(PurePosixPath(self.place).name, 40) if self.is_pinned else self.kind

    def missing(self, code: str) -> str:
        """The reason why it lacks a language; empty if it has it, or if only its files show it."""
        language = languages.find(code)
        if self.facts.config_of is None or self.facts.config(language):
            return ""
        return f"{self.facts.title} has no {language.name} ({code})."

    def placed(self, folder: Path) -> Source:
        """The source with another folder to read it from."""
        return self.model_copy(update={"place": str(folder)})


class DataSpec(Section):
    """The speech of a run, and how it is read."""

    sources: tuple[Source, ...] = Field(
        (Source(kind="fleurs"),),
        strict=False,
        min_length=1,
        max_length=1,
        description="Where the speech comes from.",
    )
    audio_column: Text = Field("", description="Column with the audio file; empty: found by name.")
    text_column: Text = Field("", description="Column with the transcript; empty: found by name.")
    speaker_column: Text = Field("", description="Column with the speaker; empty: found by name.")
    train_split: Text = Field(
        "",
        description="Splits to train on, joined by `+`; empty: the source's usual ones.",
    )
    validation_split: Text = Field(
        "",
        description="Split that chooses the best model; empty: the usual one, or held out.",
    )
    test_split: Text = Field("test", description="Split that evaluations use.")
    holdout: Holdout = Field(
        0.05,
        description="Share of the training sentences held out when no split validates.",
    )
    min_seconds: NotNegative = Field(0.2, description="Shorter clips are dropped, in seconds.")

    @model_validator(mode="before")
    @classmethod
    def _one_source(cls, given: Any) -> Any:
        """Turns `source` and `revision`, which people and version 1 set, into `sources`."""
        if not isinstance(given, dict) or not {"source", "revision"} & given.keys():
            return given
        others = {name: v for name, v in given.items() if name not in {"source", "revision"}}
        text, revision = given.get("source", "fleurs"), given.get("revision", "")
        for name, value in (("source", text), ("revision", revision)):
            if not isinstance(value, str):
                raise SpecError(f"data.{name}", f"is a text, not {value!r}.")
        return {**others, "sources": [Source.parse(text, revision=revision)]}

    @property
    def source(self) -> Source:
        """The one source."""
        return self.sources[0]
