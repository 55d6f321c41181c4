"""Makes whisper-micro: a Whisper of 1.5 million parameters, pre-trained on the example corpus.

    python examples/whisper-micro/make_micro.py                  # about 10 minutes on 2 cores
    python examples/whisper-micro/make_micro.py --out /some/folder --steps 500

It learns English, Spanish, Swahili, Welsh, Hindi and Japanese in kana, from `examples/speech` and
from more speech of the same kind, never Greek, so that fine-tuning it on Greek shows what
fine-tuning does. Needs the extra `core` and the program espeak-ng. Writes an ordinary Hugging Face
folder and prints the error rates on the test splits.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import jiwer
import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
import transformers
from tokenizers import AddedToken, pre_tokenizers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)
from transformers.models.whisper.tokenization_whisper import LANGUAGES

HERE = Path(__file__).parent
SPEECH = HERE.parent / "speech"
sys.path.insert(0, str(SPEECH))

import make_speech  # noqa: E402

PRETRAINING_LANGUAGES = ("cy", "en", "es", "hi", "ja", "sw")

SECONDS = 3  # of a window; Whisper's is 30
RATE = 16_000  # Hz
TARGET_POSITIONS = 128  # 4 prefix tokens, the longest sentence's 47 characters, and room to ramble

# Scripts whose every character is one token, as ranges of code points, ends included. Any other
# character is spelled in bytes, as in every byte-level BPE.
SCRIPTS = {
    "Latin-1, Latin Extended A, B and IPA": (0x00A1, 0x02AF),
    "combining diacritical marks": (0x0300, 0x036F),
    "Greek": (0x0370, 0x03FF),
    "Cyrillic": (0x0400, 0x045F),
    "Devanagari": (0x0900, 0x097F),
    "Latin Extended Additional": (0x1E00, 0x1EFF),
    "general punctuation": (0x2010, 0x2027),
    "CJK punctuation, hiragana and katakana": (0x3000, 0x30FF),
}

# Minutes a language of more speech for pre-training than the corpus has in its training split.
MORE_MINUTES = 12.0
MORE_SEED = 2  # the corpus has 1

BATCH = 32
LEARNING_RATE = 2e-3
WARMUP_STEPS = 100
WEIGHT_DECAY = 0.01
LARGEST_SHIFT = 10  # mel frames of 10 ms by which a clip may start later in its window


def make_tokenizer() -> WhisperTokenizer:
    """Whisper's tokenizer with merges that join the bytes of one character and no others."""
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    vocabulary = {symbol: index for index, symbol in enumerate(sorted(level.alphabet()))}
    merges: dict[tuple[str, str], None] = {}
    for first, last in SCRIPTS.values():
        for character in map(chr, range(first, last + 1)):
            if unicodedata.category(character) in ("Cn", "Cf", "Zs"):
                continue
            symbols = level.pre_tokenize_str(character)[0][0]
            for end in range(1, len(symbols)):
                merges[symbols[:end], symbols[end]] = None
                vocabulary.setdefault(symbols[: end + 1], len(vocabulary))
    # Special tokens in the order of the multilingual Whisper; timestamps follow as ordinary tokens.
    names = ["endoftext", "startoftranscript", *LANGUAGES, "translate", "transcribe", "startoflm"]
    names += ["startofprev", "nospeech", "notimestamps"]
    tokenizer = WhisperTokenizer(
        vocab=vocabulary, merges=list(merges), pad_token="<|endoftext|>", model_max_length=1024
    )
    tokenizer.add_tokens(
        [AddedToken(f"<|{name}|>", special=True, normalized=False) for name in names],
        special_tokens=True,
    )
    tokenizer.add_special_tokens(
        {"extra_special_tokens": [f"<|{name}|>" for name in names[1:]]},
    )
    stamps = [f"<|{frame * 0.02:.2f}|>" for frame in range(SECONDS * 50 + 1)]
    tokenizer.add_tokens([AddedToken(stamp, special=False, normalized=False) for stamp in stamps])
    return tokenizer


def make_model(tokenizer: WhisperTokenizer) -> WhisperForConditionalGeneration:
    """An untrained model with a generation config like that of the multilingual Whisper."""

    def token(name: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(f"<|{name}|>"))

    ends = {
        "bos_token_id": token("endoftext"),
        "eos_token_id": token("endoftext"),
        "pad_token_id": token("endoftext"),
        "decoder_start_token_id": token("startoftranscript"),
    }
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=128,
        encoder_layers=3,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=512,
        decoder_ffn_dim=512,
        max_source_positions=SECONDS * 50,
        max_target_positions=TARGET_POSITIONS,
        dropout=0.1,
        apply_spec_augment=False,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        **ends,
    )
    model = WhisperForConditionalGeneration(config)
    never = ("startoftranscript", "translate", "transcribe", "startoflm", "startofprev", "nospeech")
    model.generation_config = GenerationConfig(
        **ends,
        max_length=TARGET_POSITIONS,
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": token(code) for code in LANGUAGES},
        task_to_id={task: token(task) for task in ("transcribe", "translate")},
        no_timestamps_token_id=token("notimestamps"),
        prev_sot_token_id=token("startofprev"),
        max_initial_timestamp_index=50,
        return_timestamps=False,
        suppress_tokens=[token(name) for name in never],
        begin_suppress_tokens=[
            *tokenizer.encode(" ", add_special_tokens=False),
            token("endoftext"),
        ],
    )
    return model


class Clips:
    """One split of one language: features (clips, 80, frames), sentences and, per clip, labels."""

    def __init__(
        self, language: str, split: str, processor: WhisperProcessor, speech: Path = SPEECH
    ) -> None:
        folder = speech / language
        with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == split]
        self.language = language
        self.sentences = [row["sentence"] for row in rows]
        waves = [load(folder / row["file_name"]) for row in rows]
        mel = processor.feature_extractor(waves, sampling_rate=RATE, return_tensors="pt")
        self.features: torch.Tensor = mel.input_features
        processor.tokenizer.set_prefix_tokens(language=language, task="transcribe")
        # The model puts the start token before the labels itself, so the tokenizer's is taken off.
        self.labels = [
            torch.tensor(ids[1:]) for ids in processor.tokenizer(self.sentences).input_ids
        ]


def speak_more(language: str, out: Path) -> None:
    """Makes `MORE_MINUTES` of training clips of other sentences than validation and test have."""
    with (SPEECH / language / "metadata.csv").open(encoding="utf-8", newline="") as file:
        held_out = {row["sentence"] for row in csv.DictReader(file) if row["split"] != "train"}
    make_speech.make_language(language, out, MORE_SEED, {"train": MORE_MINUTES}, held_out)


def load(path: Path) -> npt.NDArray[np.float32]:
    """The clip as mono samples (samples,) at `RATE`."""
    wave, rate = soundfile.read(path, dtype="float32")
    return np.asarray(soxr.resample(wave, rate, RATE), dtype=np.float32)


def batches(
    parts: list[Clips], steps: int, generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """`steps` batches of features (32, 80, frames) and labels (32, tokens), padded with -100."""
    features = torch.cat([part.features for part in parts])
    labels = [label for part in parts for label in part.labels]
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(labels), generator=generator)])
        chosen, order = order[:BATCH], order[BATCH:]
        shift = int(torch.randint(LARGEST_SHIFT + 1, (), generator=generator))
        # Clips last 2.9 s at most: what rolls from the window's end to its front is silence.
        yield (
            features[chosen].roll(shift, dims=-1),
            torch.nn.utils.rnn.pad_sequence(
                [labels[index] for index in chosen.tolist()], batch_first=True, padding_value=-100
            ),
        )


def pretrain(
    model: WhisperForConditionalGeneration, parts: list[Clips], steps: int, seed: int
) -> None:
    """AdamW with linear warm-up and linear decay to zero; logs the loss every 50 steps."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARMUP_STEPS, (steps - step) / steps)
    )
    model.train()
    started, losses = time.monotonic(), []
    for step, (features, labels) in enumerate(
        batches(parts, steps, torch.Generator().manual_seed(seed)), start=1
    ):
        loss = model(input_features=features, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % 50 == 0:
            mean = sum(losses[-50:]) / 50
            print(
                f"step {step}: loss {mean:.3f}, {time.monotonic() - started:.0f} s", file=sys.stderr
            )


def plain(text: str) -> str:
    """The text without case and punctuation; marks and vowel signs stay."""
    kept = (character for character in text.casefold() if unicodedata.category(character)[0] != "P")
    return " ".join("".join(kept).split())


def error_rates(
    model: WhisperForConditionalGeneration, processor: WhisperProcessor, clips: Clips
) -> tuple[float, float]:
    """Word and character error rates, case and punctuation off: 0 is perfect, 1 can be exceeded."""
    model.eval()
    heard: list[str] = []
    for features in torch.split(clips.features, BATCH):
        ids = model.generate(features, language=clips.language, task="transcribe")
        heard += processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
    references = [plain(sentence) for sentence in clips.sentences]
    guesses = [plain(text) for text in heard]
    return jiwer.wer(references, guesses), jiwer.cer(references, guesses)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Pre-trains whisper-micro on the example corpus.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write the model to")
    parser.add_argument("--steps", type=int, default=1400, help=f"of {BATCH} clips")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if shutil.which("espeak-ng") is None:
        parser.error("espeak-ng is missing; install the package espeak-ng")
    torch.manual_seed(arguments.seed)
    processor = WhisperProcessor(
        feature_extractor=WhisperFeatureExtractor(feature_size=80, chunk_length=SECONDS),
        tokenizer=make_tokenizer(),
    )
    model = make_model(processor.tokenizer)
    print(f"{model.num_parameters():,} parameters", file=sys.stderr)
    parts = [Clips(language, "train", processor) for language in PRETRAINING_LANGUAGES]
    with tempfile.TemporaryDirectory() as more:
        for language in PRETRAINING_LANGUAGES:
            speak_more(language, Path(more) / language)
            parts.append(Clips(language, "train", processor, Path(more)))
    pretrain(model, parts, arguments.steps, arguments.seed)
    model.save_pretrained(arguments.out)
    processor.tokenizer.set_prefix_tokens(language="en", task="transcribe")
    processor.save_pretrained(arguments.out)
    print("language  WER   CER   (test split, case and punctuation off)")
    for language in (*PRETRAINING_LANGUAGES, "el"):
        wer, cer = error_rates(model, processor, Clips(language, "test", processor))
        print(f"{language:<8}{wer:6.1%}{cer:6.1%}")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    main()
