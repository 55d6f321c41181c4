"""Whisper, as the core sees it: load, collate, loss, decode.

Lengths come from the model's own folder (window from the feature extractor, label tokens from the
config), so that a Whisper of another size works like the published ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

from jobrunner.catalog import languages
from jobrunner.core.models.features import LogMel
from jobrunner.errors import DataError, UsageError
from jobrunner.spec import RunSpec, TrainSpec

# Labels that the loss leaves out (torch's own default).
IGNORED = -100
# SpecAugment of the features (Park et al. 2019): shares of a window covered at most, and the
# smallest number of masks. transformers masks no mel bands unless told to.
_SPEC_AUGMENT = {
    "apply_spec_augment": True,
    "mask_time_prob": 0.05,
    "mask_time_length": 10,
    "mask_feature_prob": 0.1,
    "mask_feature_length": 10,
    "mask_feature_min_masks": 0,
}


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Windows that go through the model together."""

    features: torch.Tensor
    """Log-mel features (windows, mels, frames), float32."""
    labels: torch.Tensor
    """Token ids (windows, tokens), int64, without the start token; `IGNORED` where padded."""

    def pin_memory(self) -> Batch:
        """The batch in memory that a GPU can fetch from; a DataLoader calls it."""
        return Batch(features=self.features.pin_memory(), labels=self.labels.pin_memory())

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; the copy overlaps with work there."""
        return Batch(
            features=self.features.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
        )


def collate(features: Sequence[torch.Tensor], labels: Sequence[npt.NDArray[np.int32]]) -> Batch:
    """One batch from features (mels, frames) and label ids (tokens,) of each window."""
    padded = np.full((len(labels), max(map(len, labels))), IGNORED, dtype=np.int64)
    for row, ids in zip(padded, labels, strict=True):
        row[: len(ids)] = ids
    return Batch(features=torch.stack(tuple(features)), labels=torch.from_numpy(padded))


def summed_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy summed over the tokens of a batch, in nats; a scalar.

    The sum, not the mean, so that accumulation steps and ranks can be added up and divided by the
    tokens of the whole step.
    """
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )


class Whisper:
    """A Whisper model with its tokenizer and features, set to one language.

    Attributes:
        model: the `WhisperForConditionalGeneration`.
        tokenizer: its tokenizer.
        features: audio (n,) → log-mel features (mels, frames).
        prefix: ids that labels begin with: language, task, no timestamps; without the start token.
    """

    def __init__(self, model: Any, tokenizer: Any, extractor: Any, language: str) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.extractor = extractor
        self.features = LogMel.of(extractor)
        self.language = language
        self.prefix = _set_language(model, tokenizer, language)
        self._separator = " " if languages.find(language).unit == "words" else ""

    @property
    def window_seconds(self) -> float:
        """Seconds of audio that the model takes at once."""
        return self.features.samples / self.features.rate

    @property
    def frames(self) -> int:
        """Feature frames of a window."""
        return self.features.frames

    @property
    def max_label_tokens(self) -> int:
        """Tokens of a window's labels at most, prefix and end included."""
        return int(self.model.config.max_target_positions)

    @property
    def overhead_tokens(self) -> int:
        """Tokens of a window's labels beside the text: prefix and end."""
        return len(self.prefix) + 1

    def tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[int]]]:
        """Ids of each text where it begins a window, and where it follows another text.

        A text that follows has a space before it, unless the language is written without. The
        tokenizer splits words before their space, so that ids of packed texts are those of the
        joined text.
        """
        first = self.tokenizer(list(texts), add_special_tokens=False).input_ids
        if not self._separator:
            return first, first
        following = [self._separator + text for text in texts]
        return first, self.tokenizer(following, add_special_tokens=False).input_ids

    def labels(self, ids: Sequence[int]) -> list[int]:
        """Labels of a window: prefix, text, end. `shift_tokens_right` adds the start token."""
        return [*self.prefix, *ids, self.tokenizer.eos_token_id]

    collate = staticmethod(collate)

    def loss(self, batch: Batch, forward: Callable[..., Any] | None = None) -> torch.Tensor:
        """Summed cross-entropy of a batch (scalar); `forward` is the model as wrapped for DDP."""
        config = self.model.config
        # The same shift as the model makes from `labels`, without its mean over the batch. The
        # padding is after the end token and never attended to by what counts.
        inputs = batch.labels.roll(1, dims=1)
        inputs[:, 0] = config.decoder_start_token_id
        inputs = inputs.masked_fill(inputs == IGNORED, config.pad_token_id)
        logits = (forward or self.model)(
            input_features=batch.features, decoder_input_ids=inputs, use_cache=False
        ).logits
        return summed_loss(logits, batch.labels)

    def listen(self, audio: Sequence[npt.NDArray[np.float32]]) -> torch.Tensor:
        """Features (clips, mels, frames) of clips of samples (n,), each padded to a window."""
        return torch.stack([self.features(clip) for clip in audio])

    @torch.inference_mode()
    def decode(self, features: torch.Tensor) -> list[str]:
        """Greedy transcripts of windows (windows, mels, frames), on the model's device."""
        model = self.model
        training = model.training
        model.eval()
        try:
            ids = model.generate(features.to(model.device, model.dtype), do_sample=False)
        finally:
            model.train(training)
        texts: list[str] = self.tokenizer.batch_decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return [text.strip() for text in texts]

    def save(self, folder: Path) -> None:
        """Writes model, tokenizer, feature extractor and generation config in Hugging Face form."""
        self.model.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)
        self.extractor.save_pretrained(folder)


def load(
    folder: Path,
    spec: RunSpec,
    device: torch.device | str,
    dtype: torch.dtype,
    *,
    language: str = "",
    train: TrainSpec | None = None,
) -> Whisper:
    """The model in a folder, in evaluation mode.

    Args:
        folder: a published model in Hugging Face form.
        spec: the run.
        device: where its weights go.
        dtype: of its weights.
        language: code of the language to write; the run's own unless given.
        train: dropout, SpecAugment and frozen parts, where the model is to be trained.

    Raises:
        DataError: the folder holds no Whisper model that can be read.
        UsageError: the model has no token for the language.
    """
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
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{spec.model} cannot be read as a Whisper model: {reason}") from error
    if train and train.freeze_encoder:
        model.freeze_encoder()
    model.to(device).eval()
    return Whisper(model, tokenizer, extractor, language or spec.lang)


def _set_language(model: Any, tokenizer: Any, code: str) -> list[int]:
    """Sets what `generate` begins with; the ids after the start token."""
    generation, config = model.generation_config, model.config
    # The old way to force a language, which would win over none and warn beside the new one.
    generation.forced_decoder_ids = None
    config.forced_decoder_ids = None
    generation.return_timestamps = False
    known = tokenizer.get_added_vocab()
    silent = known.get("<|notimestamps|>")
    ending = [] if silent is None else [silent]
    if not getattr(generation, "is_multilingual", "lang_to_id" in vars(generation)):
        generation.language, generation.task = None, None
        return ending
    language = languages.find(code)
    token = f"<|{language.whisper_code}|>"
    if language.whisper_code is None or token not in known:
        raise UsageError(
            f"The model has no token for {language.name} ({language.code}).",
            hint=_other_models(language),
        )
    generation.lang_to_id = {**(getattr(generation, "lang_to_id", None) or {}), token: known[token]}
    generation.task_to_id = {name: known[f"<|{name}|>"] for name in ("transcribe", "translate")}
    generation.language, generation.task = language.whisper_code, "transcribe"
    return [known[token], known["<|transcribe|>"], *ending]


def _other_models(language: languages.Language) -> str:
    if language.code == "yue":
        return "whisper-large-v3 and whisper-turbo have one."
    return "`jobrunner languages` shows which languages Whisper knows."
