"""The result of one evaluation: `result.json`, written by the evaluate stage, read by reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from jobrunner.errors import StorageError
from jobrunner.scoring.rates import Difference, Scores

Which = Literal["base", "tuned"]


class Settings(BaseModel):
    """Settings that determine the hypotheses, besides model and data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str
    """Code of the language that decoding was set to."""
    max_utterances: int
    """Most utterances to use of the test set, evenly spaced in its order; 0 means all."""
    precision: Literal["fp32", "bf16", "fp16"]
    batch_size: int
    """Part of the settings because padding changes the last bits of the logits."""
    decoding: str = "greedy"
    characters_a_second: int = 0
    """Limit of a text by the length of its audio, for the fastest speech; 0 means none."""


class Result(BaseModel):
    """One model, measured on one test set in one language."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1, 2] = 2
    run: str
    which: Which
    """`base`: the model that the run started from; `tuned`: the run's export."""
    model: str
    """Preset, hub id or folder's name of the base model."""
    trained_on: str
    """Language that the run fine-tunes for."""
    language: str
    """Language of the test set."""
    test_set: str
    split: str
    model_digest: str
    """SHA-256 (hex) of the model's manifest."""
    data_digest: str
    """SHA-256 (hex) that stands for the test set: names and digests of its index and shards."""
    model_commit: str = ""
    """Commit of the hub that the base model is of; empty for a folder."""
    data_commit: str = ""
    """Commit of the hub that the test set is of; empty for a folder."""
    settings: Settings
    scores: Scores
    too_long: int = 0
    """Utterances left out because they are longer than the model's window."""
    looped: int = 0
    """Hypotheses that repeat themselves, a sign that the decoder lost its place."""
    change: Difference | None = None
    """Tuned against base on the same utterances; None if the base model was not measured."""
    audio_seconds: float
    """Length of the audio that was decoded."""
    decode_seconds: float
    """Time from audio to text, without loading the model."""
    device: str
    finished: float
    """Unix time."""
    software: dict[str, str] = {}
    """Versions of the software that made the result, by package."""

    @property
    def rtfx(self) -> float:
        """Seconds of audio decoded per second (inverse real-time factor)."""
        return self.audio_seconds / self.decode_seconds if self.decode_seconds else 0.0


def _run(key: str) -> str:
    """The run that a result's key `runs/RUN/…` names."""
    return [*key.split("/"), "RUN"][1]


def parse(data: bytes, key: str) -> Result:
    """Reads the result in a `result.json`.

    Raises:
        StorageError: the file at `key` is not a result that this version can read.
    """
    try:
        return Result.model_validate_json(data)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"]) or "file"
        raise StorageError(
            f"{key} is not a result that this version can read ({place}: {problem['msg']}).",
            hint=f"Delete it, and `jobrunner delete {_run(key)}`; submitted again, that run "
            "measures only what is missing.",
        ) from None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Base and fine-tuned model of one run, on one test set in one language."""

    run: str
    language: str
    test_set: str
    base: Result | None
    tuned: Result | None

    @property
    def either(self) -> Result:
        """The result to take common facts from: the tuned one if there is one."""
        result = self.tuned or self.base
        assert result is not None
        return result

    @property
    def change(self) -> Difference | None:
        """Tuned against base, if both were measured on the same utterances."""
        return self.tuned.change if self.tuned and self.base else None


def compare(results: Iterable[Result]) -> list[Comparison]:
    """Pairs base and tuned results, sorted by run; the run's own language is its first."""
    pairs: dict[tuple[str, str, str], dict[Which, Result]] = {}
    for result in results:
        key = (result.run, result.language, result.test_set)
        pairs.setdefault(key, {})[result.which] = result
    comparisons = [
        Comparison(
            run=run,
            language=language,
            test_set=test_set,
            base=pair.get("base"),
            tuned=pair.get("tuned"),
        )
        for (run, language, test_set), pair in pairs.items()
    ]
    return sorted(
        comparisons,
        key=lambda c: (c.run, c.language != c.either.trained_on, c.language, c.test_set),
    )
