"""The real vocabulary of Whisper in Hugging Face form, from OpenAI's own tables.

The package `openai-whisper` has the byte pairs and special tokens as tiktoken knows them. Hugging
Face's tokenizer wants the merges that lead to them, which are found by merging each token's bytes
up to its own rank.
"""

from __future__ import annotations

import json
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

with warnings.catch_warnings():
    # The package leaves its file of byte pairs open.
    warnings.simplefilter("ignore")
    import whisper.audio
    import whisper.normalizers
    import whisper.tokenizer

__all__ = ["whisper"]

LANGUAGES = tuple(whisper.tokenizer.LANGUAGES)
# Large-v3 and turbo know Cantonese too; the other multilingual models know the first 99.
LANGUAGES_OF_LARGE_V3 = 100
END = "<|endoftext|>"


def openai_tokenizer(languages: int, language: str | None = None) -> Any:
    """OpenAI's tokenizer of the multilingual models, for one language."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        return whisper.tokenizer.get_tokenizer(True, num_languages=languages, language=language)


def write_tokenizer(folder: Path, languages: int) -> WhisperTokenizer:
    """Writes the multilingual tokenizer to a folder and loads it from there."""
    encoding = openai_tokenizer(languages).encoding
    ranks: dict[bytes, int] = encoding._mergeable_ranks
    shown = bytes_to_unicode()

    def spelt(token: bytes) -> str:
        return "".join(shown[byte] for byte in token)

    merges = [merge for token, rank in ranks.items() if (merge := _last_merge(ranks, token, rank))]
    folder.mkdir(parents=True)
    vocabulary = {spelt(token): rank for token, rank in ranks.items()}
    special = dict(sorted(encoding._special_tokens.items(), key=lambda item: item[1]))
    (folder / "vocab.json").write_text(json.dumps({**vocabulary, END: special[END]}))
    lines = [f"{spelt(left)} {spelt(right)}" for left, right in merges]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines]))
    tokenizer = WhisperTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), pad_token=END
    )
    marked = [AddedToken(name, special=True, normalized=False) for name in list(special)[1:]]
    tokenizer.add_tokens(marked, special_tokens=True)
    tokenizer.save_pretrained(folder)
    return WhisperTokenizer.from_pretrained(folder)


def write_whisper(folder: Path, languages: int, mels: int) -> Path:
    """Writes a random Whisper of 1 + 1 layers of width 8 with the real vocabulary and features."""
    tokenizer = write_tokenizer(folder, languages)
    ids = tokenizer.get_added_vocab()
    ends = {
        **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), ids[END]),
        "decoder_start_token_id": ids["<|startoftranscript|>"],
    }
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(tokenizer),
            num_mel_bins=mels,
            d_model=8,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            suppress_tokens=None,
            begin_suppress_tokens=None,
            **ends,
        )
    )
    model.generation_config = GenerationConfig(
        **ends,
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": ids[f"<|{code}|>"] for code in LANGUAGES[:languages]},
        task_to_id={name: ids[f"<|{name}|>"] for name in ("translate", "transcribe")},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        max_length=448,
    )
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=mels).save_pretrained(folder)
    return folder


def _last_merge(ranks: dict[bytes, int], token: bytes, rank: int) -> tuple[bytes, bytes] | None:
    """The two parts that a token is merged from; None for a single byte."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [ranks.get(left + right, rank) for left, right in pairwise(parts)]
        at = min(range(len(pairs)), key=pairs.__getitem__)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return (parts[0], parts[1]) if len(parts) == 2 else None
