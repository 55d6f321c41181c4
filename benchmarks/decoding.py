"""Decoding speed against the `transformers` pipeline, on the same clips in one run.

    python benchmarks/decoding.py                # about 10 minutes on 2 cores
    python benchmarks/decoding.py --loops 3      # with clips whose text never ends
    python benchmarks/decoding.py --beams        # the pipeline's own default as well, 5 beams

The model is that of `solved.py`. Clips have the lengths of Common Voice.
"""

from __future__ import annotations

import argparse
import importlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numpy as np
import numpy.typing as npt
import torch
import transformers
from solved import make_model

from jobrunner import spec as specs
from jobrunner.core.data.dataset import Dataset, Utterance
from jobrunner.core.models import whisper
from jobrunner.core.transcribe import transcribe
from jobrunner.storage.local import LocalStorage

RATE = 16_000


class Chords(Dataset):
    """Clips of Common Voice's lengths (gamma, mean 5.3 s, 1 to 15 s), each a chord of its own."""

    def __init__(self, clips: int, seed: int = 0) -> None:
        super().__init__(LocalStorage(Path("nowhere")), "data/x/", Path("nowhere"), {}, "el")
        random = np.random.default_rng(seed)
        seconds = np.clip(random.gamma(5.3**2 / 2.2**2, 2.2**2 / 5.3, clips), 1, 15)
        self.sounds = [self._chord(random, round(each * RATE)) for each in seconds]
        self.clips = [
            Utterance(
                index=index,
                shard="test/0.flacs",
                offset=0,
                size=0,
                seconds=len(sound) / RATE,
                text="",
                speaker="",
                clip=str(index),
                language="el",
            )
            for index, sound in enumerate(self.sounds)
        ]

    @staticmethod
    def _chord(random: np.random.Generator, samples: int) -> npt.NDArray[np.float32]:
        times = np.arange(samples) / RATE
        waves = [np.sin(2 * np.pi * tone * times) for tone in random.uniform(100, 6000, 6)]
        noise = random.standard_normal(samples) * 0.01
        return np.asarray(np.sum(waves, axis=0) * 0.1 + noise, dtype=np.float32)

    def audio(self, utterance: Utterance) -> npt.NDArray[np.float32]:
        return self.sounds[utterance.index]


def load(folder: Path, dtype: torch.dtype) -> whisper.Whisper:
    """The model as an evaluation loads it."""
    spec = specs.parse(
        {
            "lang": "el",
            "model": str(folder),
            "task": "evaluate",
            "data": {"source": f"folder:{folder}"},
            "resources": {"device": "cpu"},
        }
    )
    return whisper.load(folder, spec, "cpu", dtype)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One way to decode all clips."""

    name: str
    decode: Callable[[], list[str]]


def ours(folder: Path, chords: Chords, *, batch_size: int, dtype: torch.dtype) -> Engine:
    """Our decoding, as an evaluation does it."""
    model = load(folder, dtype)
    kind = "bf16" if dtype == torch.bfloat16 else "fp32"
    return Engine(
        name=f"ours, {kind}, batches of {batch_size}",
        decode=lambda: [
            each.text for each in transcribe(model, chords, chords.clips, batch_size=batch_size)
        ],
    )


def pipeline(folder: Path, chords: Chords, *, beams: int) -> Engine:
    """The rival; batches of 16."""
    recognise = transformers.pipeline(
        "automatic-speech-recognition", model=str(folder), batch_size=16, device="cpu"
    )
    options = {"language": "el", "task": "transcribe", "num_beams": beams, "max_new_tokens": 444}

    def decode() -> list[str]:
        sounds = ({"raw": sound, "sampling_rate": RATE} for sound in chords.sounds)
        return [found["text"].strip() for found in recognise(sounds, generate_kwargs=options)]

    return Engine(name=f"pipeline, fp32, {beams} beam{'s' * (beams > 1)}", decode=decode)


def ctranslate2(folder: Path, chords: Chords, *, kind: str) -> Engine:
    """CTranslate2 with our features, batches of 16 by length."""
    library = importlib.import_module("ctranslate2")
    converted = folder.parent / f"ct2-{kind}"
    convert = library.converters.TransformersConverter(str(folder))
    convert.convert(str(converted), quantization=kind, force=True)
    engine = library.models.Whisper(
        str(converted), device="cpu", compute_type=kind, intra_threads=os.cpu_count()
    )
    model = load(folder, torch.float32)
    prompt = [model.module.config.decoder_start_token_id, *model.recipe.head("el", "transcribe")]

    def decode() -> list[str]:
        texts: dict[int, str] = {}
        clips = sorted(chords.clips, key=lambda clip: -clip.seconds)
        for start in range(0, len(clips), 16):
            batch = clips[start : start + 16]
            heard = model.recipe.listen([chords.audio(clip) for clip in batch])
            view = library.StorageView.from_array(heard.features.numpy())
            found = engine.generate(
                *(view, [prompt] * len(batch)),
                **{"beam_size": 1, "max_length": 448, "suppress_tokens": []},
                suppress_blank=False,
            )
            for clip, each in zip(batch, found, strict=True):
                ids = each.sequences_ids[0]
                texts[clip.index] = model.tokenizer.decode(ids, skip_special_tokens=True).strip()
        return [texts[clip.index] for clip in chords.clips]

    return Engine(name=f"CTranslate2, {kind}, batches of 16", decode=decode)


def compare(engines: Sequence[Engine], seconds: float, rounds: int) -> None:
    """Prints a row for each engine, held against the first.

    On a busy machine CPU time is the fairer measure: others slow a wall clock down, not this one.
    """
    texts: dict[str, list[str]] = {}
    took: dict[str, list[tuple[float, float]]] = {engine.name: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            start, computed = time.perf_counter(), time.process_time()
            texts[engine.name] = engine.decode()
            taken = time.perf_counter() - start, time.process_time() - computed
            took[engine.name].append(taken)
    fastest = {name: np.min(times, axis=0) for name, times in took.items()}
    rival = engines[0].name
    print("| engine | audio s/s | to the pipeline | by CPU time | texts as the pipeline's |")
    print("|-|-:|-:|-:|-:|")
    for name, own in texts.items():
        same = sum(a == b for a, b in zip(own, texts[rival], strict=True))
        wall, computed = fastest[rival] / fastest[name]
        speed = seconds / fastest[name][0]
        print(f"| {name} | {speed:.1f} | {wall:.2f} | {computed:.2f} | {same} of {len(own)} |")
    lengths = sorted(len(text) for text in texts[rival])
    print(f"\n{len(set(texts[rival]))} different texts; characters: {lengths}")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--loops", type=int, default=0, help="clips whose text never ends")
    parser.add_argument("--rounds", type=int, default=2, help="the fastest of each counts")
    parser.add_argument("--sizes", default="16,32", help="sizes of our batches")
    parser.add_argument("--beams", action="store_true", help="5 beams, the pipeline's default")
    parser.add_argument(
        "--ctranslate2", default="", help="its kinds: float32,int8_float32,bfloat16"
    )
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    chords = Chords(options.clips)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "model"
        seconds = [clip.seconds for clip in chords.clips]
        make_model(folder, chords.sounds, seconds, options.loops)
        engines = [pipeline(folder, chords, beams=1)]
        engines += [pipeline(folder, chords, beams=5)] if options.beams else []
        for size in map(int, options.sizes.split(",")):
            engines.append(ours(folder, chords, batch_size=size, dtype=torch.float32))
        engines.append(ours(folder, chords, batch_size=16, dtype=torch.bfloat16))
        kinds = [kind for kind in options.ctranslate2.split(",") if kind]
        engines += [ctranslate2(folder, chords, kind=kind) for kind in kinds]
        compare(engines, sum(seconds), options.rounds)


if __name__ == "__main__":
    main()
