"""Accuracy of packed and cropped training against single padded windows, on the same audio.

    python benchmarks/packing.py               # about 12 minutes on 2 idle cores

whisper-micro gets windows of 10 s (its own are 3 s, in which hardly two clips fit) and is
fine-tuned on the Greek example speech, of clips of 2 s: once with the default options, once with
one clip a window and every window padded. Both see the same seconds of audio a step, and as many
steps. Both decode single padded clips of the test and the validation split. Prints each seed, and
the difference with its 95 % interval of a bootstrap over clips, the same for both.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numpy as np
import torch
import transformers
from training import MICRO, ROOT, context_of
from transformers import (
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from jobrunner import spec as specs
from jobrunner.catalog import languages
from jobrunner.core import prepare
from jobrunner.core.models import windows
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.trainer import Trainer
from jobrunner.core.transcribe import transcribe
from jobrunner.scoring.rates import score

SECONDS = 10
# A window of 10 s has 150 characters, each a token.
TARGET_POSITIONS = 256
RESAMPLES = 10_000


def wide_micro(folder: Path) -> Path:
    """whisper-micro with windows of 10 s: the positions that it lacks are new."""
    micro = WhisperForConditionalGeneration.from_pretrained(MICRO)
    changes = {"max_source_positions": SECONDS * 50, "max_target_positions": TARGET_POSITIONS}
    torch.manual_seed(0)
    # Its new positions of the encoder are sinusoids, as all of Whisper's are at first.
    model = WhisperForConditionalGeneration(WhisperConfig(**{**micro.config.to_dict(), **changes}))
    weights = model.state_dict()
    for name, known in micro.state_dict().items():
        weights[name][: len(known)] = known
    model.load_state_dict(weights)
    model.generation_config = micro.generation_config
    model.generation_config.max_length = TARGET_POSITIONS
    model.save_pretrained(folder)
    WhisperTokenizer.from_pretrained(MICRO).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80, chunk_length=SECONDS).save_pretrained(folder)
    return folder


def errors(model: Path, root: Path, steps: int, seed: int, options: dict[str, Any]) -> Any:
    """Word errors and words (clips, 2) of a run."""
    train = {"steps": steps, "warmup_steps": 50, "learning_rate": 1.5e-3, "batch_seconds": 27.0}
    spec = specs.parse(
        {
            "lang": "el",
            "model": str(model),
            "seed": seed,
            "storage": str(root / "storage"),
            "data": {"source": f"folder:{ROOT / 'examples' / 'speech'}"},
            "train": {**train, "save_every": steps, "validate_every": steps, **options},
            "resources": {"device": "cpu", "gpus": 0, "workers": 1},
        }
    )
    context = context_of(spec, root)
    prepare.run(context)
    setup = set_up(context)
    trainer = Trainer(context, setup)
    trainer.restore()
    while not trainer.finished:
        trainer.step()
    trainer.close()
    clips = [*setup.dataset.utterances("test"), *setup.dataset.utterances("validation")]
    heard = transcribe(setup.model, setup.dataset, clips, batch_size=16)
    scores = score(
        [clip.text for clip in clips], [one.text for one in heard], unit=languages.find("el").unit
    )
    return np.array(scores.counts)


def interval(packed: Any, single: Any) -> tuple[float, float]:
    """95 % interval of the difference of error rates, in points.

    Args:
        packed, single: word errors and words (seeds, clips, 2).
    """
    random = np.random.default_rng(0)
    clips = packed.shape[1]
    drawn = random.integers(clips, size=(RESAMPLES, clips))
    wrong = (packed - single)[:, :, 0].sum(axis=0)[drawn].sum(axis=1)
    words = packed[:, :, 1].sum(axis=0)[drawn].sum(axis=1)
    low, high = np.percentile(100 * wrong / words, [2.5, 97.5])
    return float(low), float(high)


def rate(counts: Any) -> float:
    """Word error rate in percent."""
    return float(100 * counts[..., 0].sum() / counts[..., 1].sum())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="of 27 s of audio each")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    both: dict[str, list[Any]] = {"packed": [], "single": []}
    print("| seed | packed, WER % | single, WER % | difference | packed, s | single, s |")
    print("|-|-|-|-|-|-|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        model = wide_micro(root / "model")
        for seed in range(arguments.seeds):
            took = []
            for name, counts in both.items():
                started = time.perf_counter()
                padded = mock.patch.object(
                    windows, "PARTS", (1,) if name == "single" else windows.PARTS
                )
                options = {"pack": "none"} if name == "single" else {}
                with padded:
                    counts.append(errors(model, root / name, arguments.steps, seed, options))
                took.append(time.perf_counter() - started)
            packed, single = (rate(counts[-1]) for counts in both.values())
            print(
                f"| {seed} | {packed:.2f} | {single:.2f} | {packed - single:+.2f} | "
                f"{took[0]:.0f} | {took[1]:.0f} |",
                flush=True,
            )
    packed_counts, single_counts = (np.stack(counts) for counts in both.values())
    low, high = interval(packed_counts, single_counts)
    difference = rate(packed_counts) - rate(single_counts)
    print(f"\nDifference {difference:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}.")


if __name__ == "__main__":
    main()
