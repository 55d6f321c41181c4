"""A random Whisper of a few thousand parameters, and speech-like clips, original in the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, pre_tokenizers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from jobrunner.core.models.whisper_recipe import WhisperRecipe
from jobrunner.spec import RunSpec, keys
from jobrunner.storage import Storage, folders
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.harness.prepared import Clip, write_split

WORDS = ("ναι", "όχι", "καλά", "σήμερα", "νερό", "δύο")
LANGUAGES = ("en", "zh", "el", "ja")
SECONDS = 2
POSITIONS = 96
END, START = "<|endoftext|>", "<|startoftranscript|>"


def make_whisper(folder: Path, *, languages: Sequence[str] = LANGUAGES, seed: int = 0) -> Path:
    """Writes a Whisper of 2 + 2 layers of width 32, windows of 2 s and one token a byte.

    Without languages it is a monolingual one, as the published `.en` models are.
    """
    tokenizer = _tokenizer(languages)
    ids = tokenizer.get_added_vocab()
    ends = {
        "bos_token_id": ids[END],
        "eos_token_id": ids[END],
        "pad_token_id": ids[END],
        "decoder_start_token_id": ids[START],
    }
    torch.manual_seed(seed)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(tokenizer),
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_source_positions=SECONDS * 50,
            max_target_positions=POSITIONS,
            suppress_tokens=None,
            begin_suppress_tokens=None,
            **ends,
        )
    )
    marks = {
        "is_multilingual": bool(languages),
        "no_timestamps_token_id": ids["<|notimestamps|>"],
    }
    if languages:
        marks["lang_to_id"] = {f"<|{code}|>": ids[f"<|{code}|>"] for code in languages}
        marks["task_to_id"] = {name: ids[f"<|{name}|>"] for name in ("translate", "transcribe")}
    model.generation_config = GenerationConfig(
        **ends, **marks, max_length=POSITIONS, return_timestamps=False
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80, chunk_length=SECONDS).save_pretrained(folder)
    return folder


def _tokenizer(languages: Sequence[str]) -> WhisperTokenizer:
    vocabulary = {
        symbol: id_ for id_, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    vocabulary[END] = len(vocabulary)
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[], pad_token=END, model_max_length=1024)
    names = [START, *(f"<|{code}|>" for code in languages)]
    names += ["<|translate|>", "<|transcribe|>", "<|startofprev|>", "<|notimestamps|>"]
    tokenizer.add_tokens(
        [AddedToken(name, special=True, normalized=False) for name in names], special_tokens=True
    )
    return tokenizer


def make_run(root: Path, **changes: Any) -> RunSpec:
    """A spec whose base model and data are in storage below `root`, as prepare leaves them.

    Args:
        root: becomes the storage.
        changes: fields of the spec by dotted path, `__` for the dot.
    """
    values: dict[str, Any] = {
        "model": str(root / "tiny"),
        "storage": str(root / "storage"),
        "data__source": f"folder:{root / 'speech'}",
        "train__steps": 6,
        "train__warmup_steps": 1,
        "train__learning_rate": 1e-3,
        "train__batch_seconds": 6.0,
        "train__save_every": 2,
        "train__validate_every": 2,
        "train__validation_utterances": 3,
        "train__dropout": 0.1,
        "train__spec_augment": True,
        "resources__device": "cpu",
        "resources__gpus": 0,
        "resources__device_seconds": 4.0,
        "resources__workers": 1,
    }
    spec = builders.spec(**{**values, **changes})
    storage = LocalStorage(Path(spec.storage))
    if not folders.is_whole(storage, keys.model_prefix(spec)):
        folders.publish(storage, keys.model_prefix(spec), make_whisper(root / "tiny"))
        write_data(storage, keys.data_prefix(spec, spec.lang))
    return spec


def write_data(storage: Storage, prefix: str) -> None:
    """Prepared speech: three speakers, 24 training clips of 0.3 to 1.2 s, one of them unknown."""
    for split, number in (("train", 24), ("validation", 5), ("test", 4)):
        write_split(storage, prefix, split, (_clip(split, clip) for clip in range(number)))


def _clip(split: str, number: int) -> Clip:
    random = np.random.default_rng([len(split), number])
    samples = int(random.integers(4800, 19200))
    wave = random.standard_normal(samples) * np.sin(np.arange(samples) / 50) * 0.1
    words = (WORDS[word] for word in random.integers(len(WORDS), size=2))
    return Clip(f"{number}.wav", wave, " ".join(words), ("", "a", "b")[number % 3])


def narrowed(patch: pytest.MonkeyPatch, *, positions: int) -> None:
    """Makes every Whisper take at most this number of tokens."""
    original = WhisperRecipe.__init__

    def making(recipe: WhisperRecipe, *arguments: Any, **named: Any) -> None:
        original(recipe, *arguments, **{**named, "positions": positions})

    patch.setattr(WhisperRecipe, "__init__", making)
