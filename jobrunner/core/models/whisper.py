"""The family Whisper: its recogniser, and the function that loads it."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperTokenizer,
)

from jobrunner.catalog import languages, models
from jobrunner.catalog.dimensions import of_config
from jobrunner.core.models import adapter, frozen
from jobrunner.core.models.base import Batch, Hypothesis, ParameterGroup, groups_by_decay
from jobrunner.core.models.features import LogMel
from jobrunner.core.models.spec_augment import masked
from jobrunner.core.models.whisper_activations import recompute, weights_of
from jobrunner.core.models.whisper_batch import WindowBatch, places_of
from jobrunner.core.models.whisper_compile import compile_layers
from jobrunner.core.models.whisper_decode import Heard, Rules, greedy, rules_of
from jobrunner.core.models.whisper_encoder import let_crop
from jobrunner.core.models.whisper_loss import ScoringWhisper
from jobrunner.core.models.whisper_recipe import TASKS, WhisperRecipe
from jobrunner.errors import DataError
from jobrunner.spec import RunSpec, TrainSpec, names
from jobrunner.spec.memory import Cost

# Set only for training; the export has the base model's values. The masks of transformers are never
# on: they would cover silence as well, and wait for the device.
_OPTIONS = ("dropout", "apply_spec_augment")
# A text that compresses better repeats itself (Radford et al. 2022, section 4.5).
_MOST_COMPRESSED = 2.4


class Whisper:
    """A Whisper model with its tokenizer and features, set to one language.

    Args:
        model: the `WhisperForConditionalGeneration`.
        tokenizer: its tokenizer.
        extractor: its feature extractor.
        language: code of the language to write.
        base: the folder that it was loaded from.
        augments: masks times and mel bands of what it is trained on.
        adapted: peft's view of it, if adapters are trained.
        name: name of the base model.
    """

    criterion = "rate"

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        extractor: Any,
        language: str,
        base: Path,
        *,
        augments: bool = False,
        adapted: Any = None,
        name: str = "",
    ) -> None:
        self.module = model
        self._adapted = adapted
        self._name = name
        self.tokenizer = tokenizer
        self.recipe = WhisperRecipe(
            tokenizer,
            extractor,
            positions=int(model.config.max_target_positions),
            start=int(model.config.decoder_start_token_id),
            multilingual=_is_multilingual(model.generation_config),
        )
        self._extractor = extractor
        self._base = base
        self._augments = augments
        self._log_mel: LogMel | None = None
        let_crop(model)
        head = self.recipe.head(language, "transcribe")
        _set_language(model, tokenizer, language, head)
        self._prompt = [int(model.config.decoder_start_token_id), *head]
        self._language = languages.find(language)

    @property
    def rules(self) -> Rules:
        """Rules of its texts, from the generation config as it is now."""
        end = int(self.tokenizer.eos_token_id)
        return rules_of(self.module, self._prompt, end, self._language)

    def loss(self, batch: Batch, forward: Callable[..., Any] | None = None) -> torch.Tensor:
        windows = cast("WindowBatch", batch)
        features = self._features_of(windows)
        if self._augments and self.module.training:
            features = masked(features, windows.heard)
        places = places_of(windows.labels) if windows.places is None else windows.places
        loss: torch.Tensor = (forward or self.module)(
            input_features=features,
            decoder_input_ids=windows.inputs,
            targets=windows.labels.flatten()[places],
            places=places,
        )
        return loss

    def _features_of(self, windows: WindowBatch) -> torch.Tensor:
        """Features of a batch, computed on its device if it holds audio."""
        if windows.features.dtype != torch.int16:
            return windows.features
        if self._log_mel is None or self._log_mel.filters.device != windows.features.device:
            self._log_mel = self.recipe.features.on(windows.features.device)
        return self._log_mel.batched(windows.features)

    def decode(self, heard: Heard) -> list[Hypothesis]:
        """Greedy transcripts; half of the clips at a time where the memory is too small."""
        model = self.module
        training = model.training
        model.eval()
        try:
            written = greedy(model, heard, self.rules)
        except torch.OutOfMemoryError:
            if len(heard) == 1:
                raise
            written = []
        finally:
            model.train(training)
        if not written:
            # Out of the handler, whose error keeps the tensors of the failed attempt alive.
            half = (len(heard) + 1) // 2
            return [*self.decode(heard[:half]), *self.decode(heard[half:])]
        texts: list[str] = self.tokenizer.batch_decode(
            [each.ids for each in written],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        return [
            Hypothesis(text=text.strip(), score=each.score, looped=repeats(text.strip()))
            for text, each in zip(texts, written, strict=True)
        ]

    def groups(self) -> list[ParameterGroup]:
        return groups_by_decay(self.module)

    def cost(self, *, half: bool, checkpointing: bool) -> Cost:
        return Cost(
            sizes=of_config(self.module.config.to_dict()),
            weights=weights_of(self.module),
            half=half,
            checkpointing=checkpointing,
            dropout=self.module.config.dropout > 0,
        )

    def recompute(self) -> None:
        recompute(self.module)

    def compile(self) -> None:
        """Compiles one layer of the encoder, for all of them. The decoder stays as it is: its
        lengths are as many as there are texts, and it has a tenth of the work."""
        compile_layers(self.module.model.encoder.layers)

    def export(self, folder: Path) -> None:
        base = WhisperConfig.from_pretrained(self._base, local_files_only=True)
        for option in _OPTIONS:
            setattr(self.module.config, option, getattr(base, option))
        if frozen.is_lowered(self.module):
            frozen.restore(self.module.to("cpu"), _exact(self._base))
        if self._adapted is not None:
            adapter.save(self._adapted, folder / adapter.FOLDER, base=self._name)
            self.module = adapter.merge(self._adapted)
        self.module.to(base.dtype or torch.float32)
        self.module.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)
        self._extractor.save_pretrained(folder)


def load(
    folder: Path,
    spec: RunSpec,
    device: torch.device | str,
    dtype: torch.dtype,
    *,
    language: str = "",
    train: TrainSpec | None = None,
) -> Whisper:
    """Loads a Whisper model; see `Family.load`."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    changes: dict[str, Any] = {"apply_spec_augment": False}
    if train:
        changes["dropout"] = train.dropout
    try:
        model = ScoringWhisper.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa", local_files_only=True, **changes
        )
        tokenizer = WhisperTokenizer.from_pretrained(folder, local_files_only=True)
        extractor = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{spec.model} cannot be read as a Whisper model: {reason}") from error
    adapted = None
    if train:
        frozen.freeze(model, train, models.FAMILIES["whisper"])
        adapted = adapter.add(model, train) if train.lora_rank else None
    model.to(device).eval()
    preset = models.PRESETS.get(spec.model)
    name = preset.repo if preset else spec.model
    if models.is_folder(name):
        name = names.model_name(name)
    loaded = Whisper(
        *(model, tokenizer, extractor, language or spec.lang, folder),
        augments=bool(train and train.spec_augment),
        adapted=adapted,
        name=name,
    )
    # Eight workers make features for a small model on one GPU, and not for eight of them.
    loaded.recipe.for_device = bool(train) and torch.device(device).type == "cuda"
    return loaded


def _exact(folder: Path) -> dict[str, torch.Tensor]:
    """Every weight of a model's folder by name, in fp32."""
    model = ScoringWhisper.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return dict(model.named_parameters())


def repeats(text: str) -> bool:
    """True if a text compresses so well that it must repeat itself."""
    data = text.encode()
    return bool(data) and len(data) > _MOST_COMPRESSED * len(zlib.compress(data))


def _is_multilingual(generation: Any) -> bool:
    return bool(getattr(generation, "is_multilingual", "lang_to_id" in vars(generation)))


def _set_language(model: Any, tokenizer: Any, code: str, head: list[int]) -> None:
    """Sets the language and task that `generate` begins with.

    Args:
        model, tokenizer: the model and its tokenizer.
        code: code of the language, which a multilingual model must have a token for.
        head: ids that labels begin with.
    """
    generation, config = model.generation_config, model.config
    # A legacy setting: it overrides an unset language, and warns if both are set.
    generation.forced_decoder_ids = None
    config.forced_decoder_ids = None
    generation.return_timestamps = False
    if not _is_multilingual(generation):
        generation.language, generation.task = None, None
        return
    known, language = tokenizer.get_added_vocab(), languages.find(code)
    token = f"<|{language.whisper_code}|>"
    generation.lang_to_id = {**(getattr(generation, "lang_to_id", None) or {}), token: head[0]}
    generation.task_to_id = {name: known[f"<|{name}|>"] for name in TASKS}
    generation.language, generation.task = language.whisper_code, "transcribe"
