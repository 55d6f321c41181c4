"""What one GPU makes of training and decoding: speed, use of the device, memory, waiting.

    python benchmarks/gpu.py                       # one GPU, under 10 minutes, unattended
    python benchmarks/gpu.py --device cpu --tiny   # whether it runs, anywhere

Whispers of the sizes small and medium with random weights and the real vocabulary's size, on
synthetic speech of 4 to 15 s a clip. The rival is Hugging Face's Seq2SeqTrainer in bf16 with
workers, on the same clips, each padded to a window of 30 s. Audio seconds are those of the clips.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import reference_trainer
import soundfile
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from training import MICRO, context_of
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from jobrunner import spec as specs
from jobrunner.catalog.gpus import peak_tflops
from jobrunner.core import prepare
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.training.setup import Setup, set_up
from jobrunner.core.training.trainer import Trainer
from jobrunner.core.transcribe import transcribe
from jobrunner.spec import RunSpec, keys
from jobrunner.storage import folders

# Width, layers of each half, heads.
SIZES = {"tiny": (32, 1, 2), "small": (768, 12, 12), "medium": (1024, 24, 16)}
VOCABULARY = 51865
# Steps that warm up caches and allocators, left out of the speed.
LEFT_OUT = 3
# Random weights never end a text; people say about four tokens a second.
DECODED_TOKENS = 64
HEAD = (
    *("size", "audio s/s", "rival, audio s/s", "ratio", "TFLOP/s", "of peak"),
    *("peak GB", "waiting", "stall, s", "decoding, audio s/s"),
)
WORDS = ("καλημέρα", "νερό", "θάλασσα", "σήμερα", "δρόμος", "παιδί", "βιβλίο", "ήλιος")


@dataclass(frozen=True, kw_only=True)
class Row:
    """The figures of one size."""

    size: str
    speed: float
    """Audio seconds a second."""
    rival: float
    """The rival's."""
    tflops: float
    """Floating-point operations of the model, 10¹² a second."""
    peak: float
    """The device's peak of these in bf16; 0 for a CPU."""
    peak_bytes: float
    """Largest memory of the device; 0 for a CPU."""
    waiting: float
    """Share of the time spent waiting for data."""
    stall: float
    """Seconds that training stands still for a checkpoint."""
    factor: float
    """Audio seconds decoded a second."""

    def __str__(self) -> str:
        use = f"{self.tflops / self.peak:.0%}" if self.peak else "-"
        memory = f"{self.peak_bytes / 1e9:.1f}" if self.peak_bytes else "-"
        return (
            f"| {self.size} | {self.speed:.1f} | {self.rival:.1f} | {self.speed / self.rival:.2f} "
            f"| {self.tflops:.3g} | {use} | {memory} | {self.waiting:.1%} | {self.stall:.2f} "
            f"| {self.factor:.1f} |"
        )


def make_model(folder: Path, size: str) -> Path:
    """Writes a random Whisper of a size."""
    width, layers, heads = SIZES[size]
    base = WhisperForConditionalGeneration.from_pretrained(MICRO)
    changes = {
        "vocab_size": VOCABULARY,
        "d_model": width,
        "encoder_layers": layers,
        "decoder_layers": layers,
        "encoder_attention_heads": heads,
        "decoder_attention_heads": heads,
        "encoder_ffn_dim": 4 * width,
        "decoder_ffn_dim": 4 * width,
        "max_source_positions": 1500,
        "max_target_positions": 448,
    }
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(WhisperConfig(**{**base.config.to_dict(), **changes}))
    model.generation_config = base.generation_config
    model.save_pretrained(folder)
    transformers.WhisperTokenizer.from_pretrained(MICRO).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80, chunk_length=30).save_pretrained(folder)
    return folder


def write_speech(folder: Path, clips: int) -> Path:
    """Writes an audio folder: noise in the rhythm of syllables, 4 to 15 s a clip."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    with (folder / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "text", "speaker", "split"])
        for number in range(clips):
            seconds = random.uniform(4, 15)
            times = np.arange(int(seconds * 16000)) / 16000
            wave = 0.1 * random.standard_normal(len(times)) * np.sin(4 * np.pi * times) ** 2
            split = {0: "validation", 1: "test"}.get(number % 8, "train")
            soundfile.write(folder / f"{number}.wav", wave.astype(np.float32), 16000)
            text = " ".join(random.choice(WORDS, size=max(2, int(seconds * 1.5))))
            table.writerow([f"{number}.wav", text, f"{split}-{number % 40}", split])
    return folder


def spec_of(root: Path, size: str, options: argparse.Namespace) -> RunSpec:
    """A run of a size; what is not named here is the default."""
    gpu = options.device == "cuda"
    return specs.parse(
        {
            "lang": "el",
            "model": str(make_model(root / size, size)),
            "storage": str(root / "storage"),
            "data": {"source": f"folder:{root / 'speech'}"},
            "train": {
                "steps": options.steps + 2,
                "warmup_steps": 1,
                "batch_seconds": 640.0 if gpu else 30.0,
                "validation_utterances": 4,
            },
            "resources": {
                "device": options.device,
                "gpus": int(gpu),
                "compile": options.compile,
                **({} if gpu else {"device_seconds": 60.0, "workers": 1}),
            },
        }
    )


def wait_for(device: torch.device) -> None:
    """Returns when a GPU has done all of its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def trained(trainer: Trainer, steps: int) -> tuple[float, float, float]:
    """Audio seconds a second, share of waiting, and operations of the model per second of audio."""
    device, state, pace = trainer.setup.device, trainer.state, trainer.pace
    trainer.step()
    before = state.audio_seconds
    with FlopCounterMode(display=False) as counter:
        trainer.step()
    operations = counter.get_total_flops() / (state.audio_seconds - before)
    for _ in range(LEFT_OUT):
        trainer.step()
    wait_for(device)
    began, audio, waited = time.perf_counter(), state.audio_seconds, pace.waited_seconds
    for _ in range(steps - LEFT_OUT):
        trainer.step()
    wait_for(device)
    took = time.perf_counter() - began
    return (state.audio_seconds - audio) / took, (pace.waited_seconds - waited) / took, operations


def rivalled(context: StageContext, setup: Setup, steps: int) -> float:
    """The rival's audio seconds a second, with a batch of as many clips as fit into ours."""
    base = folders.fetch(context.storage, keys.model_prefix(context.spec), context.scratch)
    clips = setup.dataset.utterances("train")
    # Windows of one clip each: what one device takes at a time.
    size = max(1, min(32, int((context.spec.resources.device_seconds or 960.0) / 30)))
    batches = [
        [(step * size + place) % len(clips) for place in range(size)] for step in range(steps)
    ]
    clock = reference_trainer.train(
        base,
        context.spec,
        setup.dataset,
        batches,
        workers=4 if setup.device.type == "cuda" else 1,
        bf16=setup.device.type == "cuda",
    )
    audio = (sum(clips[clip].seconds for clip in batch) for batch in batches[1:])
    took = (after - before for (before, _), (after, _) in pairwise(clock.ends))
    speeds: list[float] = [a / t for a, t in zip(audio, took, strict=True)]
    return statistics.median(speeds[LEFT_OUT:])


def decoded(setup: Setup, batch_size: int) -> float:
    """Audio seconds decoded a second, `DECODED_TOKENS` tokens a clip."""
    clips = setup.dataset.utterances("test")
    model: Any = setup.model
    model.module.generation_config.max_length = DECODED_TOKENS
    with setup.accelerator.autocast():
        transcribe(model, setup.dataset, clips[:batch_size], batch_size=batch_size)
        wait_for(setup.device)
        began = time.perf_counter()
        transcribe(model, setup.dataset, clips, batch_size=batch_size)
        wait_for(setup.device)
    return sum(clip.seconds for clip in clips) / (time.perf_counter() - began)


def measure(size: str, root: Path, options: argparse.Namespace) -> Row:
    """All figures of one size."""
    context = context_of(spec_of(root, size, options), root)
    prepare.run(context)
    setup = set_up(context)
    gpu = setup.device.type == "cuda"
    if gpu:
        torch.cuda.reset_peak_memory_stats(setup.device)
    trainer = Trainer(context, setup)
    trainer.restore()
    try:
        speed, waiting, operations = trained(trainer, options.steps)
        largest = torch.cuda.max_memory_allocated(setup.device) if gpu else 0
        trainer.save()
        trainer.saver.wait()
    finally:
        trainer.close()
    return Row(
        size=size,
        speed=speed,
        rival=rivalled(context, setup, options.steps + 2),
        tflops=speed * operations / 1e12,
        peak=peak_tflops(torch.cuda.get_device_name(setup.device)) if gpu else 0.0,
        peak_bytes=largest,
        waiting=waiting,
        stall=trainer.pace.stalled_seconds,
        factor=decoded(setup, options.batch),
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="one very small model, few clips")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--compile", action="store_true", help="compile the encoder's layers")
    options = parser.parse_args()
    options.batch = 4 if options.tiny else 64
    if options.steps <= LEFT_OUT:
        parser.error(f"--steps must be over {LEFT_OUT}, which warm up")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU is visible; `--device cpu --tiny` shows whether it runs")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    print(f"| {' | '.join(HEAD)} |\n|{'-|' * len(HEAD)}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_speech(root / "speech", 40 if options.tiny else 800)
        for size in ["tiny"] if options.tiny else ["small", "medium"]:
            print(measure(size, root, options), flush=True)


if __name__ == "__main__":
    main()
