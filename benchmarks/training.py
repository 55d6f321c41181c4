"""Training speed and losses against Hugging Face's Trainer, on the same clips in one run.

    python benchmarks/training.py               # about 5 minutes on 2 cores

Two cases: whisper-micro with its windows of 3 s, where both do the same work and each step has the
same clips, so that the losses can be compared; and a small random Whisper with windows of 30 s,
where the rival pads each clip to 30 s, as its script does, and we pack. Audio seconds are those of
the clips, padding not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import reference_trainer
import torch
import transformers
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from jobrunner import spec as specs
from jobrunner.core import prepare
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.attempt.progress import ProgressReporter
from jobrunner.core.training.setup import Setup, set_up
from jobrunner.core.training.trainer import Trainer
from jobrunner.spec import RunSpec, keys
from jobrunner.spec.record import new_record
from jobrunner.storage import folders
from jobrunner.storage.local import LocalStorage

ROOT = Path(__file__).resolve().parents[1]
MICRO = ROOT / "examples" / "whisper-micro"
# Steps that warm up caches and allocators, left out of the speed.
LEFT_OUT = 3


def whole_window_model(folder: Path) -> Path:
    """A random Whisper of 2 + 2 layers of width 64 with windows of 30 s."""
    base = WhisperForConditionalGeneration.from_pretrained(MICRO)
    changes = {
        "d_model": 64,
        "encoder_layers": 2,
        "encoder_ffn_dim": 256,
        "decoder_ffn_dim": 256,
        "max_source_positions": 1500,
        "max_target_positions": 448,
        "dropout": 0.0,
    }
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(WhisperConfig(**{**base.config.to_dict(), **changes}))
    model.generation_config = base.generation_config
    model.save_pretrained(folder)
    transformers.WhisperTokenizer.from_pretrained(MICRO).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80, chunk_length=30).save_pretrained(folder)
    return folder


def spec_of(model: Path, root: Path, steps: int, **train: Any) -> RunSpec:
    """Greek of the example corpus, without anything random in the model."""
    return specs.parse(
        {
            "lang": "el",
            "model": str(model),
            "storage": str(root / "storage"),
            "data": {"source": f"folder:{ROOT / 'examples' / 'speech'}"},
            "train": {
                "steps": steps,
                "learning_rate": 1e-3,
                "warmup_steps": steps // 2,
                "save_every": steps,
                "validate_every": steps,
                **train,
            },
            "resources": {"device": "cpu", "gpus": 0, "workers": 1},
        }
    )


def context_of(spec: RunSpec, root: Path) -> StageContext:
    """A stage that says nothing."""
    (root / "scratch").mkdir(parents=True, exist_ok=True)
    return StageContext(
        record=new_record(spec),
        storage=LocalStorage(Path(spec.storage)),
        attempt="benchmark",
        scratch=root / "scratch",
        progress=ProgressReporter(),
        log=lambda line: None,
    )


def ours(context: StageContext, setup: Setup) -> tuple[list[float], float]:
    """Losses of all steps, and seconds of audio a second."""
    trainer = Trainer(context, setup)
    trainer.restore()
    ends = []
    while not trainer.finished:
        trainer.step()
        ends.append(time.perf_counter())
    records = trainer.state.history
    totals = [record["audio_seconds"] for record in records]
    audio = [after - before for before, after in pairwise(totals)]
    return [record["loss"] for record in records], speed_of(audio, ends)


def theirs(
    context: StageContext, setup: Setup, batches: list[list[int]]
) -> tuple[list[float], float]:
    """Losses and speed of the reference trainer, in the form of `ours`."""
    spec = context.spec
    base = folders.fetch(context.storage, keys.model_prefix(spec), context.scratch)
    clock = reference_trainer.train(base, spec, setup.dataset, batches, workers=1)
    clips = setup.dataset.utterances("train")
    audio = [sum(clips[clip].seconds for clip in batch) for batch in batches[1:]]
    return clock.losses, speed_of(audio, clock.ends)


def speed_of(audio: list[float], ends: list[float]) -> float:
    """Audio seconds a second: the median of the steps, so that a busy moment counts for little.

    Args:
        audio: of each step from the second on.
        ends: time of each step's end.
    """
    took = [after - before for before, after in pairwise(ends)]
    return statistics.median(a / t for a, t in list(zip(audio, took, strict=True))[LEFT_OUT:])


def compare(name: str, spec: RunSpec, root: Path, clips_a_batch: int | None) -> str:
    """One row of the table.

    Args:
        name: of the case.
        spec: of the run.
        root: a scratch folder.
        clips_a_batch: of the rival; None: in each step the clips that we take.
    """
    context = context_of(spec, root)
    prepare.run(context)
    setup = set_up(context)
    steps = list(islice(setup.feed.order.steps(0, 0), spec.train.steps))
    clips = [[clip for unit in step.units for clip in unit.clips] for step in steps]
    if clips_a_batch:
        flat = [clip for step in clips for clip in step]
        clips = [flat[n * clips_a_batch :][:clips_a_batch] for n in range(spec.train.steps)]
    reference_losses, reference_speed = theirs(context, setup, clips)
    losses, speed = ours(context, setup)
    apart = "-"
    if not clips_a_batch:
        pairs = zip(losses, reference_losses, strict=True)
        apart = f"{max(abs(a - b) for a, b in pairs):.1e}"
    windows = statistics.mean(len(step.units) for step in steps)
    return (
        f"| {name} | {windows:.0f} | {speed:.1f} | {reference_speed:.1f} | "
        f"{speed / reference_speed:.2f} | {apart} |"
    )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=15)
    steps = parser.parse_args().steps
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    print("| model | windows a step | audio s/s | Trainer, audio s/s | ratio | losses apart |")
    print("|-|-|-|-|-|-|")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        alike = spec_of(MICRO, root / "micro", steps, batch_seconds=72.0, pack_probability=0.0)
        print(compare("whisper-micro, 3 s, same clips", alike, root / "micro", None), flush=True)
        model = whole_window_model(root / "whole")
        packed = spec_of(model, root / "packed", steps, batch_seconds=112.0, pack_probability=1.0)
        # Four packed windows of 28 s; the rival has four windows of one clip each.
        print(compare("random, 30 s, packed", packed, root / "packed", 4), flush=True)


if __name__ == "__main__":
    main()
