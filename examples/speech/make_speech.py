"""Makes the example corpus: an audio folder of short spoken sentences for each language.

    python examples/speech/make_speech.py            # everything, beside this script
    python examples/speech/make_speech.py el --out /some/folder

The sentences come from the small grammars in `sentences/`, the voices from espeak-ng. Needs the
program `espeak-ng` and the Python packages numpy and soundfile. The same seed and the same versions
of espeak-ng and libsndfile give the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import shutil
import string
import subprocess
import sys
import tomllib
import unicodedata
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

HERE = Path(__file__).parent
LANGUAGES = ("el", "en", "es", "sw", "cy", "hi", "ja")

# Minutes of audio per split. Greek is the language to fine-tune on; the others pre-train and test
# the toy model.
MINUTES = {"train": 4.0, "validation": 0.4, "test": 0.8}
MINUTES_OF = {"el": {"train": 16.5, "validation": 1.0, "test": 2.5}}

# Seconds a clip may last after decoding: examples/whisper-micro hears windows of 3 s, and an MP3
# decoder may add up to two frames of 26 ms.
LONGEST = 2.9
PADDING = 0.06

# MPEG-2 layer III at 22.05 kHz knows 8 to 160 kbit/s, which libsndfile maps linearly from
# compression level 1 to 0.
KBIT_PER_S = 32
COMPRESSION_LEVEL = (160 - KBIT_PER_S) / (160 - 8)


@dataclass(frozen=True)
class Voice:
    """An espeak-ng variant at one pitch (0 to 99), which stands for one speaker."""

    variant: str
    pitch: int

    @property
    def name(self) -> str:
        """The end of the speaker's `client_id`."""
        return f"{self.variant}-p{self.pitch}"


# No speaker is in two splits. Test also has two variants, m7 and f3, that no training clip of any
# language has.
VOICES = {
    "train": [
        Voice(variant, pitch)
        for variant in ("m1", "m2", "m3", "m4", "m6", "m8", "f1", "f2", "f4", "f5")
        for pitch in (42, 50, 58)
    ],
    "validation": [Voice("m2", 47), Voice("f4", 54)],
    "test": [Voice("m3", 46), Voice("f1", 55), Voice("m7", 50), Voice("f3", 50)],
}
WORDS_PER_MINUTE = (155, 185)


def sentences(grammar: dict[str, Any], rng: random.Random) -> Iterator[str]:
    """Different sentences in random order, until a thousand draws in a row gave nothing new."""
    seen: set[str] = set()
    draws_in_vain = 0
    while draws_in_vain < 1000:
        template = rng.choice(grammar["templates"])
        slots = [field for _, field, _, _ in string.Formatter().parse(template) if field]
        text = template.format(**{slot: rng.choice(grammar["words"][slot]) for slot in slots})
        for apart, joined in grammar.get("contractions", {}).items():
            text = text.replace(apart, joined)
        text = unicodedata.normalize("NFC", text[0].upper() + text[1:])
        draws_in_vain = draws_in_vain + 1 if text in seen else 0
        if text not in seen:
            seen.add(text)
            yield text


def speak(
    text: str, language_voice: str, voice: Voice, speed: int
) -> tuple[npt.NDArray[np.float64], int]:
    """The waveform (samples,) in -1 to 1 and its rate in Hz; `speed` is in words a minute."""
    command = [
        "espeak-ng",
        "-v",
        f"{language_voice}+{voice.variant}",
        "-p",
        str(voice.pitch),
        "-s",
        str(speed),
    ]
    wav = subprocess.run(
        [*command, "--stdout"], input=text.encode(), capture_output=True, check=True
    ).stdout
    # The header of a wave on a pipe claims an endless length: the samples are what follows it.
    rate = int.from_bytes(wav[24:28], "little")
    return np.frombuffer(wav[44:], dtype="<i2").astype(np.float64) / 32768, rate


def clip(wave: npt.NDArray[np.float64], rate: int, rng: random.Random) -> npt.NDArray[np.float64]:
    """The speech (samples,) at a random loudness, with 0.05 to 0.15 s of silence around it."""
    loud = np.flatnonzero(np.abs(wave) > 0.01)
    speech = wave[loud[0] : loud[-1] + 1]
    before, after = (round(rng.uniform(0.05, 0.15) * rate) for _ in range(2))
    return np.pad(speech * rng.uniform(0.4, 0.9) / np.abs(speech).max(), (before, after))


def mp3(wave: npt.NDArray[np.float64], rate: int) -> bytes:
    """The waveform as MP3 at a constant `KBIT_PER_S`."""
    out = io.BytesIO()
    with soundfile.SoundFile(
        out,
        "w",
        samplerate=rate,
        channels=1,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=COMPRESSION_LEVEL,
        bitrate_mode="CONSTANT",
    ) as file:
        file.write(wave)
    return out.getvalue()


def make_language(
    language: str, out: Path, seed: int, minutes: dict[str, float], without: Container[str] = ()
) -> dict[str, tuple[int, float]]:
    """Writes metadata.csv and `minutes` of clips per split, in no sentence that `without` holds.

    Returns the number of clips and their seconds per split.
    """
    grammar = tomllib.loads((HERE / "sentences" / f"{language}.toml").read_text(encoding="utf-8"))
    rng = random.Random(f"{seed}-{language}-clips")
    texts = sentences(grammar, random.Random(f"{seed}-{language}-sentences"))
    left = {split: wanted * 60 for split, wanted in minutes.items()}
    made = dict.fromkeys(left, (0, 0.0))
    rows: list[tuple[str, str, str, str]] = []
    for split in left:
        shutil.rmtree(out / split, ignore_errors=True)
        (out / split).mkdir(parents=True)
    for text in texts:
        open_splits = [split for split in left if left[split] > 0]
        if not open_splits:
            break
        if text in without:
            continue
        split = rng.choices(open_splits, [left[split] for split in open_splits])[0]
        voice = rng.choice(VOICES[split])
        wave, rate = speak(text, grammar["voice"], voice, rng.randint(*WORDS_PER_MINUTE))
        wave = clip(wave, rate, rng)
        seconds = len(wave) / rate
        if seconds > LONGEST - PADDING:
            continue
        count, total = made[split]
        name = f"{split}/{language}-{count:04}.mp3"
        (out / name).write_bytes(mp3(wave, rate))
        rows.append((name, text, f"{language}-{voice.name}", split))
        made[split] = (count + 1, total + seconds)
        left[split] -= seconds
    else:
        missing = sum(seconds for seconds in left.values() if seconds > 0)
        raise SystemExit(f"sentences/{language}.toml is used up with {missing:.0f} s still to fill")
    with (out / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file_name", "sentence", "client_id", "split"))
        writer.writerows(sorted(rows))
    return made


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Makes the example corpus with espeak-ng.")
    parser.add_argument(
        "languages", nargs="*", default=LANGUAGES, metavar="language", help="default: all"
    )
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write <language>/ into")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if shutil.which("espeak-ng") is None:
        parser.error("espeak-ng is missing; install the package espeak-ng")
    unknown = set(arguments.languages) - set(LANGUAGES)
    if unknown:
        parser.error(
            f"no grammar for {', '.join(sorted(unknown))}; there are {', '.join(LANGUAGES)}"
        )
    for language in arguments.languages:
        made = make_language(
            language,
            arguments.out / language,
            arguments.seed,
            MINUTES_OF.get(language, MINUTES),
        )
        parts = ", ".join(
            f"{split} {count} clips {seconds / 60:.1f} min"
            for split, (count, seconds) in made.items()
        )
        print(f"{language}: {parts}", file=sys.stderr)


if __name__ == "__main__":
    main()
