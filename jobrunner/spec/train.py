"""Training and evaluation: the parts of the spec for them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from jobrunner.catalog import models
from jobrunner.errors import SpecError
from jobrunner.spec.types import (
    AudioSeconds,
    Count,
    CountOrZero,
    Dropout,
    Epochs,
    LanguageCode,
    LearningRate,
    NotNegative,
    Patterns,
    Positive,
    Ratio,
    Section,
)


class TrainSpec(Section):
    """Options of fine-tuning. All but `save_minutes` are part of the run's id."""

    steps: CountOrZero = Field(
        2000, description="Optimiser steps at most; 0: no limit, `epochs` decides."
    )
    epochs: Epochs = Field(
        0.0,
        description="Passes over the training speech at most; 0: no limit, `steps` decides. 8 "
        "unless one of the two is given.",
    )
    learning_rate: LearningRate = Field(
        models.DEFAULT_LEARNING_RATE,
        description="Peak learning rate; that of the preset unless given. 0: the rate of the "
        "preset that is nearest in size.",
    )
    warmup_steps: CountOrZero = Field(
        500,
        description="Steps of linear warm-up; at most a fifth of the steps unless given.",
    )
    batch_seconds: AudioSeconds = Field(
        640.0,
        description="Seconds of audio in a step, over all devices (64 utterances of 10 s).",
    )
    pack: Literal["language", "speaker", "none"] = Field(
        "language",
        description="Which utterances share windows: those of one language, of a known speaker "
        "first; of one known speaker only; none.",
    )
    pack_probability: Ratio = Field(
        0.95, description="Share of the windows that may hold several utterances."
    )
    timestamps: Ratio = Field(
        0.0,
        description="Share of the windows whose labels carry the times of their utterances, so "
        "that the model keeps writing timestamps.",
    )
    weight_decay: NotNegative = Field(0.0, description="AdamW's weight decay.")
    max_grad_norm: Positive = Field(1.0, description="Gradients are clipped to this norm.")
    dropout: Dropout = Field(0.0, description="Dropout in encoder and decoder.")
    spec_augment: bool = Field(False, description="Masks times and frequencies of the input.")
    freeze_encoder: bool = Field(False, description="Trains the decoder only.")
    freeze_layers: CountOrZero = Field(
        0,
        description="First encoder layers that are not trained, with the convolutions and "
        "positions before them.",
    )
    freeze: Patterns = Field(
        (),
        strict=False,
        description="Weights that are not trained, by name, such as `model.decoder.embed_tokens` "
        "or `*.layer_norm`.",
    )
    lora_rank: CountOrZero = Field(
        0,
        description="Trains adapters of this rank (LoRA) instead of the weights; 0: the weights. "
        f"The usual learning rate is {models.LORA_RATE:g} times as high then.",
    )
    lora_alpha: Positive = Field(32.0, description="An adapter counts `lora_alpha / lora_rank`.")
    lora_targets: Patterns = Field(
        ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
        strict=False,
        description="Linear layers that get an adapter, by the end of their names, such as "
        "`encoder_attn.q_proj`.",
    )
    optimiser: Literal["adamw", "adamw8bit"] = Field(
        "adamw",
        description="`adamw8bit` keeps the optimiser's state in 8 bits (2 bytes a weight, not 8); "
        "it needs the package bitsandbytes.",
    )
    save_every: Count = Field(250, description="Steps between checkpoints.")
    save_minutes: NotNegative = Field(
        10.0,
        description="Minutes between checkpoints as well, sooner at the start of an attempt; "
        "0: by steps only. Changes no result.",
    )
    validate_every: Count = Field(
        250,
        description="Steps between validations; a multiple of `save_every`. With `epochs`, an "
        "eighth of the steps at most unless given.",
    )
    validation_utterances: Count = Field(
        256,
        description="Utterances of the validation split that a validation decodes, at most.",
    )
    patience: CountOrZero = Field(
        0,
        description="Stops after this many validations without a better WER; 0: never. 3 unless "
        "`steps` is given.",
    )

    on_unhealthy: Literal["stop", "lower-lr", "continue"] = Field(
        "stop",
        description="When training goes wrong: `stop` ends the run; `lower-lr` goes back to the "
        "last good checkpoint and halves the rate from there; `continue` only says so.",
    )

    @property
    def is_exact(self) -> bool:
        """True if the number of steps does not depend on the data."""
        return not self.epochs

    @model_validator(mode="after")
    def _adapts_something(self) -> TrainSpec:
        if self.lora_rank and not self.lora_targets:
            raise ValueError("lora_targets is empty; no layer would get an adapter")
        return self

    @model_validator(mode="after")
    def _in_step(self) -> TrainSpec:
        if not self.steps and not self.epochs:
            problem = "is 0, and so is train.epochs; one of them must end the training."
            raise SpecError("train.steps", problem, hint="Give one of them.")
        if self.is_exact and self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps {self.warmup_steps} is more than steps {self.steps}")
        if self.validate_every % self.save_every:
            raise ValueError(
                f"validate_every {self.validate_every} is not a multiple of "
                f"save_every {self.save_every}"
            )
        return self


class EvaluateSpec(Section):
    """Measurements after training. Not part of the run's id: more can be added later."""

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
