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
    LogitsProcessor,
    LogitsProcessorList,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from jobrunner.catalog import languages
from jobrunner.catalog.dimensions import of_config
from jobrunner.core.models.base import Batch, Hypothesis, ParameterGroup, groups_by_decay
from jobrunner.core.models.whisper_activations import recompute, weights_of
from jobrunner.core.models.whisper_recipe import IGNORED, TASKS, WhisperRecipe, WindowBatch
from jobrunner.errors import DataError
from jobrunner.spec import RunSpec, TrainSpec
from jobrunner.spec.memory import Cost

# SpecAugment of the features (Park et al. 2019): the largest shares of a window to cover, and the
# smallest number of masks. By default transformers masks no mel bands.
_SPEC_AUGMENT = {
    "apply_spec_augment": True,
    "mask_time_prob": 0.05,
    "mask_time_length": 10,
    "mask_feature_prob": 0.1,
    "mask_feature_length": 10,
    "mask_feature_min_masks": 0,
}
# Set only for training; the export has the base model's values.
_OPTIONS = ("dropout", *_SPEC_AUGMENT)
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
    """

    criterion = "rate"

    def __init__(
        self, model: Any, tokenizer: Any, extractor: Any, language: str, base: Path
    ) -> None:
        self.module = model
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
        _set_language(model, tokenizer, language, self.recipe.head(language, "transcribe"))

    def loss(self, batch: Batch, forward: Callable[..., Any] | None = None) -> torch.Tensor:
        windows = cast("WindowBatch", batch)
        logits = (forward or self.module)(
            input_features=windows.features, decoder_input_ids=windows.inputs, use_cache=False
        ).logits
        return summed_loss(logits, windows.labels)

    @torch.inference_mode()
    def decode(self, heard: torch.Tensor) -> list[Hypothesis]:
        """Greedy transcripts of windows (windows, mels, frames)."""
        model = self.module
        training = model.training
        model.eval()
        scores = _Scores(self.tokenizer.eos_token_id)
        try:
            ids = model.generate(
                heard.to(model.device, model.dtype),
                do_sample=False,
                logits_processor=LogitsProcessorList([scores]),
            )
        finally:
            model.train(training)
        texts: list[str] = self.tokenizer.batch_decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return [
            Hypothesis(text=text.strip(), score=score, looped=repeats(text.strip()))
            for text, score in zip(texts, scores.means(), strict=True)
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
        """Compiles the encoder, whose shapes never change."""
        self.module.model.encoder.compile(dynamic=False)

    def export(self, folder: Path) -> None:
        base = WhisperConfig.from_pretrained(self._base, local_files_only=True)
        for option in _OPTIONS:
            setattr(self.module.config, option, getattr(base, option))
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
        changes |= _SPEC_AUGMENT if train.spec_augment else {}
    try:
        model = WhisperForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa", local_files_only=True, **changes
        )
        tokenizer = WhisperTokenizer.from_pretrained(folder, local_files_only=True)
        extractor = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{spec.model} cannot be read as a Whisper model: {reason}") from error
    if train and train.freeze_encoder:
        model.freeze_encoder()
    model.to(device).eval()
    return Whisper(model, tokenizer, extractor, language or spec.lang, folder)


def summed_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy summed over the tokens of a batch, in nats; a scalar.

    It is the sum, not the mean, so that the sums of micro-batches and ranks can be added up and
    divided by the tokens of the whole step.
    """
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )


def repeats(text: str) -> bool:
    """True if a text compresses so well that it must repeat itself."""
    data = text.encode()
    return bool(data) and len(data) > _MOST_COMPRESSED * len(zlib.compress(data))


class _Scores(LogitsProcessor):  # type: ignore[misc]
    """Adds up the log-probabilities of the tokens that greedy decoding chooses; changes nothing.

    It must be the last processor, and it is: `generate` puts its own before those it is given.

    Args:
        end: id of the token that ends a text.
    """

    def __init__(self, end: int) -> None:
        self._end = end
        self._sums: torch.Tensor | None = None
        self._counts: torch.Tensor | None = None
        self._alive: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        logits = scores.float()
        best = logits.max(dim=-1).values - logits.logsumexp(dim=-1)
        if self._sums is None or self._counts is None or self._alive is None:
            self._sums, self._counts = torch.zeros_like(best), torch.zeros_like(best)
            self._alive = torch.ones_like(best, dtype=torch.bool)
        else:
            self._alive &= input_ids[:, -1] != self._end
        self._sums += torch.where(self._alive, best, 0.0)
        self._counts += self._alive
        return scores

    def means(self) -> list[float]:
        """Mean log-probability of each text's tokens, its end included."""
        if self._sums is None or self._counts is None:
            return []
        means: list[float] = (self._sums / self._counts.clamp(min=1)).tolist()
        return means


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
