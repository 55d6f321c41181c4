"""A random Whisper of a few thousand parameters, and speech-like clips, made in the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, pre_tokenizers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

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
    told = {"is_multilingual": bool(languages), "no_timestamps_token_id": ids["<|notimestamps|>"]}
    if languages:
        told["lang_to_id"] = {f"<|{code}|>": ids[f"<|{code}|>"] for code in languages}
        told["task_to_id"] = {name: ids[f"<|{name}|>"] for name in ("translate", "transcribe")}
    model.generation_config = GenerationConfig(
        **ends, **told, max_length=POSITIONS, return_timestamps=False
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
