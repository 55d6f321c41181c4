"""`RunSpec`: the validated description of a run, the only thing that passes from CLI to pod.

Everything else is derived from it: the plan, the chart's values, `values.schema.json`,
`docs/reference.md` and the `--set` keys. Field descriptions here are what users read there.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    ValidationError,
    model_validator,
)

from jobrunner.catalog import languages, models
from jobrunner.errors import SpecError
from jobrunner.spec.placement import ClusterSpec, ResourcesSpec
from jobrunner.spec.types import (
    Count,
    CountOrZero,
    LanguageCode,
    NotNegative,
    Part,
    Positive,
    Ratio,
    Text,
    storage_url,
)


def _source(text: str) -> str:
    kind, colon, place = text.partition(":")
    if (kind == "fleurs" and (place or not colon)) or (kind == "folder" and place):
        return text
    raise ValueError(f"{text[:60]!r} is neither `fleurs` nor `folder:PATH` of a folder")


class DataSpec(Part):
    """Which speech, and how it is read."""

    source: Annotated[Text, AfterValidator(_source)] = Field(
        "fleurs", description="`fleurs`, `fleurs:MIRROR` or `folder:PATH`."
    )
    revision: Text = Field(
        "",
        description="Pins the source: a hub revision, or the fingerprint of a folder.",
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
    holdout: Ratio = Field(
        0.05,
        description="Share of the training sentences held out when no split validates.",
    )
    min_seconds: NotNegative = Field(0.2, description="Shorter clips are dropped, in seconds.")


class TrainSpec(Part):
    """How the model is fine-tuned. All of it is part of the run's id."""

    steps: Count = Field(2000, description="Optimiser steps.")
    learning_rate: Positive = Field(
        models.DEFAULT_LEARNING_RATE,
        description="Peak learning rate; from the model's preset unless given.",
    )
    warmup_steps: CountOrZero = Field(
        500,
        description="Steps of linear warm-up; at most a fifth of the steps unless given.",
    )
    batch_seconds: Positive = Field(
        640.0,
        description="Seconds of audio in a step, over all devices (64 utterances of 10 s).",
    )
    pack_probability: Ratio = Field(
        0.9,
        description="Chance that an utterance is packed with others of its speaker.",
    )
    weight_decay: NotNegative = Field(0.0, description="AdamW's weight decay.")
    max_grad_norm: Positive = Field(1.0, description="Gradients are clipped to this norm.")
    dropout: Ratio = Field(0.0, description="Dropout in encoder and decoder.")
    spec_augment: bool = Field(False, description="Masks times and frequencies of the input.")
    freeze_encoder: bool = Field(False, description="Trains the decoder only.")
    save_every: Count = Field(250, description="Steps between checkpoints.")
    validate_every: Count = Field(
        250, description="Steps between validations; a multiple of `save_every`."
    )
    validation_utterances: Count = Field(
        256,
        description="Utterances of the validation split that a validation decodes, at most.",
    )
    patience: CountOrZero = Field(
        0, description="Stops after so many validations without a better WER; 0: never."
    )

    @model_validator(mode="after")
    def _in_step(self) -> TrainSpec:
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps {self.warmup_steps} is more than steps {self.steps}")
        if self.validate_every % self.save_every:
            raise ValueError(
                f"validate_every {self.validate_every} is no multiple of "
                f"save_every {self.save_every}"
            )
        return self


class EvaluateSpec(Part):
    """What is measured after training. Not part of the run's id: more can be added later."""

    languages: tuple[LanguageCode, ...] = Field(
        (),
        strict=False,
        description="One evaluation each; empty: the run's own language.",
    )
    base: bool = Field(True, description="Measures the base model as well.")
    max_utterances: CountOrZero = Field(0, description="Utterances of a test set; 0: all.")
    batch_size: Count = Field(16, description="Utterances decoded together.")

    @model_validator(mode="after")
    def _once_each(self) -> EvaluateSpec:
        if len(set(self.languages)) != len(self.languages):
            raise ValueError(f"languages {','.join(self.languages)} names one of them twice")
        return self


class RunSpec(Part):
    """One run: one language, one model, its data and options."""

    version: Literal[1] = Field(1, description="Version of this format.")
    lang: LanguageCode = Field(description="Language to fine-tune for, such as `el`.")
    model: Annotated[Text, AfterValidator(models.check_model)] = Field(
        "whisper-small", description="A preset, a hub id, or a folder."
    )
    model_revision: Text = Field(
        "",
        description="Pins the model: a hub revision, or the fingerprint of a folder.",
    )
    task: Literal["fine-tune", "evaluate"] = Field(
        "fine-tune",
        description="`evaluate` measures the model as it is and trains nothing.",
    )
    seed: CountOrZero = Field(0, description="Seed of data order, dropout and masks.")
    again: CountOrZero = Field(0, description="Another run of the same spec, by number.")
    storage: Annotated[Text, AfterValidator(storage_url)] = Field(
        "", description="`s3://BUCKET/PREFIX`, or a folder."
    )
    data: DataSpec = DataSpec()
    train: TrainSpec = TrainSpec()
    evaluate: EvaluateSpec = EvaluateSpec()
    resources: ResourcesSpec = ResourcesSpec()
    cluster: ClusterSpec = ClusterSpec()

    @model_validator(mode="after")
    def _model_knows_language(self) -> RunSpec:
        preset = models.PRESETS.get(self.model)
        if preset and preset.english_only and self.lang != "en":
            raise ValueError(
                f"model {self.model} knows English only; use {self.model.removesuffix('.en')}"
            )
        return self

    @model_validator(mode="after")
    def _fleurs_has_languages(self) -> RunSpec:
        if self.data.source.partition(":")[0] == "fleurs":
            for code in (self.lang, *self.evaluate.languages):
                language = languages.find(code)
                if not language.fleurs:
                    raise SpecError(
                        "data.source",
                        f"FLEURS has no {language.name} ({code}).",
                        hint="Use --data folder:PATH.",
                    )
        return self

    @property
    def evaluation_languages(self) -> tuple[str, ...]:
        """Languages to evaluate, the run's own when none is named."""
        return self.evaluate.languages or (self.lang,)

    def digest(self) -> str:
        """SHA-256 (hex) of what determines the result, not of where or how it runs.

        A folder counts by its fingerprint, so that the same files elsewhere are the same run.
        """
        told: dict[str, Any] = self.model_dump(
            mode="json", include={"lang", "model_revision", "task", "seed", "again"}
        )
        told["train"] = self.train.model_dump(mode="json") if self.task == "fine-tune" else None
        told["data"] = self.data.model_dump(mode="json")
        told["model"] = self.model
        if models.is_folder(self.model):
            told["model"] = "folder"
        if self.data.source.startswith("folder:"):
            told["data"]["source"] = "folder"
        return hashlib.sha256(canonical_json(told).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, the form that digests are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parse(values: dict[str, Any]) -> RunSpec:
    """A spec from nested dictionaries.

    Raises:
        SpecError: names the first wrong field by its dotted path, and what would be right.
    """
    try:
        return RunSpec.model_validate(values)
    except ValidationError as error:
        raise _first_problem(error) from None


def parse_json(text: str | bytes) -> RunSpec:
    """The same from JSON, as it lies in `run.json`."""
    try:
        return RunSpec.model_validate_json(text)
    except ValidationError as error:
        raise _first_problem(error) from None


def _first_problem(error: ValidationError) -> SpecError:
    first = error.errors(include_url=False)[0]
    cause = getattr(first.get("ctx", {}).get("error"), "__cause__", None)
    # Places in a list are left out: `evaluate.languages`, not `evaluate.languages.0`.
    field = ".".join(str(part) for part in first["loc"] if isinstance(part, str)) or "spec"
    if isinstance(cause, SpecError):
        problem = cause.message.removeprefix(f"{cause.field}: ")
        return SpecError(field, problem, hint=cause.hint)
    if first["type"] == "extra_forbidden":
        return _unknown(field)
    if first["type"] == "missing":
        return SpecError(field, "is missing.")
    problem = first["msg"].removeprefix("Value error, ")
    given = repr(first["input"]) if first["type"] not in {"value_error", "missing"} else ""
    shown = given if len(given) <= 60 else given[:57] + "..."
    text = f"{problem[0].lower()}{problem[1:]}" + (f", not {shown}" if shown else "")
    return SpecError(field, f"{text}.")


def _unknown(field: str) -> SpecError:
    near = difflib.get_close_matches(field, field_paths(), n=1, cutoff=0.6)
    return SpecError(
        field,
        "there is no such field.",
        hint=f"Did you mean {near[0]}?" if near else "`jobrunner config show` lists all.",
    )


def field_paths() -> list[str]:
    """Dotted paths of all fields that can be set, such as `train.steps`."""
    paths = []
    for name, field in RunSpec.model_fields.items():
        part = field.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            paths += [f"{name}.{inner}" for inner in part.model_fields]
        else:
            paths.append(name)
    return paths
