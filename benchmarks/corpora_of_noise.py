"""Clips with the lengths of real corpora, and a random model of whisper-tiny's shape.

The sound is noise: speed does not depend on what is heard. The texts are words of the example
corpus, 15 characters a second, in the tokens of Whisper's own vocabulary, which the package
`openai-whisper` carries. A token has 3.4 characters of Spanish, 4.3 of English, 1.8 of Greek.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
import torch
import whisper.tokenizer
from tokenizers import AddedToken
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)
from transformers.convert_slow_tokenizer import TikTokenConverter

ROOT = Path(__file__).resolve().parents[1]
RATE = 16_000
LANGUAGES = ("el", "en", "es")
CHARACTERS_A_SECOND = 15
# Shape and mean of a gamma distribution, least and most seconds, whether speakers are known.
LENGTHS = {
    "Common Voice": (6.0, 5.3, 1.0, 15.0, True),
    "FLEURS": (7.0, 11.4, 4.0, 29.0, False),
}
# Seconds of audio of a step by default, and some more than the steps need.
_STEP_SECONDS, _MARGIN = 640, 1.2


def write_corpus(name: str, folder: Path, steps: int, language: str) -> Path:
    """An audio folder with enough clips for a number of default steps.

    Args:
        name: a key of `LENGTHS`.
        folder: where to write it.
        steps: steps of training.
        language: code of a language of the example corpus.
    """
    shape, mean, least, most, known = LENGTHS[name]
    random = np.random.default_rng(0)
    with (ROOT / "examples/speech" / language / "metadata.csv").open(
        encoding="utf-8", newline=""
    ) as file:
        words = " ".join(row["sentence"] for row in csv.DictReader(file)).split()
    folder.mkdir(parents=True)
    rows: list[tuple[str, str, str, int | str]] = []
    held = 0.0
    while held < steps * _STEP_SECONDS * _MARGIN:
        seconds = float(random.gamma(shape, mean / shape))
        if not least <= seconds <= most:
            continue
        held += seconds
        text = " ".join(random.choice(words, 100))[: round(seconds * CHARACTERS_A_SECOND)]
        clip = f"{len(rows)}.flac"
        sound = random.normal(0, 0.05, round(seconds * RATE)).astype(np.float32)
        soundfile.write(folder / clip, sound, RATE)
        # Speakers by Zipf's law: few have most of the clips.
        speaker = min(int(random.zipf(1.5)), 100) if known else ""
        split = {0: "test", 1: "validation"}.get(len(rows), "train")
        rows.append((clip, text.strip(), split, speaker))
    columns = ("file_name", "sentence", "split", "client_id")[: 4 if known else 3]
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(row[: len(columns)] for row in rows)
    return folder


def write_model(folder: Path) -> Path:
    """A random model with the shape, the vocabulary and the windows of whisper-tiny."""
    tokenizer = _tokenizer()
    ids = tokenizer.get_added_vocab()
    ends = {
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "decoder_start_token_id": ids["<|startoftranscript|>"],
    }
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=51_865,
            d_model=384,
            encoder_layers=4,
            decoder_layers=4,
            encoder_attention_heads=6,
            decoder_attention_heads=6,
            encoder_ffn_dim=1536,
            decoder_ffn_dim=1536,
            **ends,
        )
    )
    model.generation_config = GenerationConfig(
        **ends,
        max_length=448,
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": ids[f"<|{code}|>"] for code in LANGUAGES},
        task_to_id={task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
        no_timestamps_token_id=ids["<|notimestamps|>"],
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    return folder


def _tokenizer() -> WhisperTokenizer:
    assets = Path(whisper.tokenizer.__file__).parent / "assets"
    table = str(assets / "multilingual.tiktoken")
    vocabulary, merges = TikTokenConverter().extract_vocab_merges_from_model(table)
    vocabulary["<|endoftext|>"] = len(vocabulary)
    tokenizer = WhisperTokenizer(
        vocab=vocabulary, merges=merges, pad_token="<|endoftext|>", model_max_length=1024
    )
    names = whisper.tokenizer.get_tokenizer(multilingual=True, num_languages=99).special_tokens
    ordered = sorted(names, key=lambda name: names[name])
    tokenizer.add_tokens(
        [AddedToken(name, special=True, normalized=False) for name in ordered], special_tokens=True
    )
    if len(tokenizer) != 51_865:
        raise SystemExit(f"the vocabulary has {len(tokenizer)} tokens instead of 51,865")
    return tokenizer
