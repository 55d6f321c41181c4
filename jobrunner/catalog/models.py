"""Families of models, and the presets: models that can be fine-tuned by name."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jobrunner.catalog import languages, weights
from jobrunner.catalog.weights import Shapes
from jobrunner.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Family:
    """Facts about a family that any room may read without importing the family."""

    title: str
    """Name for people; in lower case, its tag on the hub."""
    module: str
    """Module of the core with `load` (see `core/models/base.py`)."""
    takes_language: bool
    """True if transformers' pipeline takes the language as an argument."""
    files: tuple[tuple[str, ...], ...] = ()
    """Groups of files of which loading needs one each, besides config.json and the weights."""
    sizes: tuple[str, ...] = ()
    """Fields of config.json that are whole and positive numbers."""
    heads: tuple[tuple[str, str], ...] = ()
    """Pairs of a width in config.json and the number of heads that divides it."""
    encoder: str = ""
    """Name of its encoder, whose layers are `layers.0`, `layers.1` and so on below it."""
    stem: tuple[str, ...] = ()
    """Names below the encoder's of what comes before its layers."""
    shapes: Callable[[Mapping[str, Any]], Shapes] | None = None
    """Name → shape of every weight, from the fields of config.json."""
    embedding: tuple[str, str, str] | None = None
    """A tensor, and the fields of config.json that are its height and its width."""


# By the `model_type` in a model's config. A new family is a module of the core and a row here.
FAMILIES: dict[str, Family] = {
    "whisper": Family(
        title="Whisper",
        module="jobrunner.core.models.whisper",
        takes_language=True,
        files=(
            ("preprocessor_config.json", "processor_config.json"),
            ("tokenizer.json", "vocab.json"),
        ),
        sizes=(
            *("d_model", "vocab_size", "num_mel_bins"),
            *("max_source_positions", "max_target_positions"),
            *("encoder_layers", "encoder_attention_heads", "encoder_ffn_dim"),
            *("decoder_layers", "decoder_attention_heads", "decoder_ffn_dim"),
        ),
        heads=(("d_model", "encoder_attention_heads"), ("d_model", "decoder_attention_heads")),
        encoder="model.encoder",
        stem=("conv1", "conv2", "embed_positions"),
        shapes=weights.of_whisper,
        embedding=("model.decoder.embed_tokens.weight", "vocab_size", "d_model"),
    ),
}


def family_in(config: bytes, *, shown: str) -> Family:
    """Returns the family of a model.

    Args:
        config: content of the model's config.json.
        shown: name of the model in messages.

    Raises:
        SpecError: the content is not JSON, or its family is unknown here.
    """
    try:
        kind = json.loads(config).get("model_type")
    except (ValueError, AttributeError, RecursionError):
        problem = f"{shown}/config.json cannot be read as JSON."
        raise SpecError("model", problem, hint=wanted_form()) from None
    if not isinstance(kind, str) or kind not in FAMILIES:
        known = " or ".join(FAMILIES)
        raise SpecError("model", f"{shown} is of type {kind!r}, not {known}.", hint=wanted_form())
    return FAMILIES[kind]


def wanted_form() -> str:
    """The form that a model must have, for hints."""
    known = " or ".join(family.title for family in FAMILIES.values())
    return f"It must be a {known} in Hugging Face form: config.json, *.safetensors, tokenizer."


@dataclass(frozen=True, kw_only=True)
class ModelPreset:
    """A pre-trained model of the hub."""

    name: str
    """Name for `--model`."""
    repo: str
    """Id on the hub."""
    parameters: int
    """Number of weights."""
    learning_rate: float
    """Peak rate for fine-tuning: the rate of pre-training / 40 (Radford et al. 2022, table 17)."""
    family: str = "whisper"
    """`model_type` in its config."""
    english_only: bool = False
    """True for the `.en` models."""
    cantonese: bool = False
    """True if its tokenizer has the token of Cantonese, new in Whisper's large-v3."""
    licence: str = "apache-2.0"
    """The hub's name of the licence; the default is that of OpenAI's Whisper models."""


def _whisper(name: str, repo: str, parameters: int, rate: float) -> list[ModelPreset]:
    """The preset of one size of Whisper, and its English-only sister if there is one."""
    preset = ModelPreset(
        name=name,
        repo=repo,
        parameters=parameters,
        learning_rate=rate,
        cantonese=name in {"whisper-large-v3", "whisper-turbo"},
    )
    if name not in {"whisper-tiny", "whisper-base", "whisper-small", "whisper-medium"}:
        return [preset]
    english = replace(preset, name=f"{name}.en", repo=f"{repo}.en", english_only=True)
    return [preset, english]


# Rates for tiny to large: Whisper's own divided by 40. The turbo model was distilled with the
# large model's rate. TFLOP measured with FlopCounterMode on the meta device.
PRESETS: dict[str, ModelPreset] = {
    preset.name: preset
    for preset in [
        *_whisper("whisper-tiny", "openai/whisper-tiny", 37_760_640, 3.75e-5),
        *_whisper("whisper-base", "openai/whisper-base", 72_593_920, 2.5e-5),
        *_whisper("whisper-small", "openai/whisper-small", 241_734_912, 1.25e-5),
        *_whisper("whisper-medium", "openai/whisper-medium", 763_857_920, 6.25e-6),
        *_whisper("whisper-large", "openai/whisper-large", 1_543_304_960, 4.375e-6),
        *_whisper("whisper-large-v2", "openai/whisper-large-v2", 1_543_304_960, 4.375e-6),
        *_whisper("whisper-large-v3", "openai/whisper-large-v3", 1_543_490_560, 4.375e-6),
        *_whisper("whisper-turbo", "openai/whisper-large-v3-turbo", 808_878_080, 4.375e-6),
    ]
}

# The names of each preset in lower case: its own, its id on the hub, and the last part of that.
# OpenAI's short names are not among them: its `large` is version 3, and here it is the first.
_BY_NAME = {
    name.lower(): preset
    for preset in PRESETS.values()
    for name in (preset.name, preset.repo, preset.repo.rpartition("/")[2])
}

# For a model of which nothing is known: the rate of whisper-small, the size in the middle.
DEFAULT_LEARNING_RATE = PRESETS["whisper-small"].learning_rate
# Times the usual rate for adapters of a low rank, whatever the rank (Schulman et al. 2025, "LoRA
# without regret": the best rate is 10 times that of training all weights).
LORA_RATE = 10.0


def learning_rate(model: str, *, lora: bool = False) -> float:
    """The usual peak rate of a model: its preset's, or the default; that of adapters for LoRA."""
    preset = PRESETS.get(model)
    rate = preset.learning_rate if preset else DEFAULT_LEARNING_RATE
    return for_adapters(rate) if lora else rate


def for_adapters(rate: float) -> float:
    """The usual peak rate of adapters of a low rank, from that of all weights."""
    return rate * LORA_RATE


def canonical(model: str) -> str:
    """The preset's name if the model is a preset under another name, else the model as it is.

    The hub does not tell upper from lower case in ids, so neither does this.
    """
    preset = _BY_NAME.get(model.lower())
    return preset.name if preset else model


def is_folder(model: str) -> bool:
    """True if `--model` names a folder: it has the form of a path, not of a hub id."""
    return model.startswith(("/", "./", "../", "~")) or model.count("/") > 1


def check_model(model: str) -> str:
    """Returns the model unchanged if it is a preset, a hub id `owner/name`, or a folder.

    Raises:
        SpecError: it is none of them; the hint names the nearest presets.
    """
    if model in PRESETS or is_folder(model):
        return model
    owner, _, name = model.partition("/")
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    if name and set(owner + name) <= allowed and ".." not in model:
        return model
    near = difflib.get_close_matches(model, PRESETS, n=3, cutoff=0.5)
    nearest = f"Nearest: {', '.join(near)}." if near else "See `jobrunner models`."
    raise SpecError("model", f"{model!r} is not a preset, hub id or folder.", hint=nearest)


def check_language(model: str, code: str, *, field: str) -> None:
    """Checks that a preset knows a language.

    Args:
        model: name of a preset.
        code: code of the language.
        field: field of the spec, for the error.

    Raises:
        SpecError: it does not; the hint says what to use instead.
    """
    preset, language = PRESETS[model], languages.find(code)
    if preset.english_only and code != "en":
        hint = f"Use {model.removesuffix('.en')}."
        raise SpecError(field, f"{model} knows English only.", hint=hint)
    known = language.whisper and (code != "yue" or preset.cantonese)
    if FAMILIES[preset.family].takes_language and not known:
        raise unknown_language(model, code, field=field)


def unknown_language(model: str, code: str, *, field: str) -> SpecError:
    """The error for a model that has no token for a language."""
    language = languages.find(code)
    hint = "`jobrunner languages` shows which languages Whisper knows."
    if code == "yue":
        hint = "Whisper has Cantonese since large-v3: use whisper-large-v3 or whisper-turbo."
    return SpecError(field, f"{model} has no token for {language.name} ({code}).", hint=hint)
