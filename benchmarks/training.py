"""Training speed and losses against Hugging Face's Trainer, on the same clips in one run.

    python benchmarks/training.py               # about 15 minutes on 2 idle cores
    python benchmarks/training.py --only FLEURS

Three cases. In the first, whisper-micro with its windows of 3 s, both do the same work and each
step has the same clips, so that the losses can be compared. In the others, a random model of
whisper-tiny's shape and vocabulary (see `corpora_of_noise.py`) is trained on clips with the lengths
of Common Voice and of FLEURS: ours with its default options, the rival with batches of 16, each
clip padded to 30 s as its script does. Audio seconds are those of the clips, padding not counted.

Each side has a process of its own. The speed is that of the median step. The second speed counts
the processor time of the training process instead, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import corpora_of_noise
import reference_trainer
import transformers

from jobrunner import spec as specs
from jobrunner.core import prepare
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.attempt.progress import ProgressReporter
from jobrunner.core.data.dataset import Dataset
from jobrunner.core.training.setup import set_up
from jobrunner.core.training.trainer import Trainer
from jobrunner.spec import RunSpec, keys
from jobrunner.spec.record import new_record
from jobrunner.storage import folders
from jobrunner.storage.local import LocalStorage

ROOT = Path(__file__).resolve().parents[1]
MICRO = ROOT / "examples" / "whisper-micro"
# Clips of the rival's batches; the one that its script has in its README.
RIVALS_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one side did."""

    losses: list[float]
    audio: list[float]
    """Seconds of audio of each step."""
    ends: list[tuple[float, float]]
    """Time and processor time at the end of each step."""
    clips: list[list[int]]
    """Clips of each step."""
    windows: int = 0
    """Windows of all steps."""
    padded: float = 0.0
    """Seconds of all windows as cropped."""

    def speed(self, clock: int) -> float:
        """Audio seconds a second of the median step.

        Args:
            clock: 0: time; 1: processor time.
        """
        took = [after[clock] - before[clock] for before, after in pairwise(self.ends)]
        return statistics.median(a / t for a, t in zip(self.audio[1:], took, strict=True))


def spec_of(
    model: Path, corpus: str, language: str, root: Path, steps: int, **more: Any
) -> RunSpec:
    """Training on the CPU, with the default options unless they are given."""
    train = {"steps": steps, "warmup_steps": steps // 2, "learning_rate": 1e-3}
    train |= {"save_every": steps, "validate_every": steps, **more.pop("train", {})}
    return specs.parse(
        {
            "lang": language,
            "model": str(model),
            "storage": str(root / "storage"),
            "data": {"source": f"folder:{corpus}", **more},
            "train": train,
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


def ours(spec: RunSpec, root: Path) -> Side:
    """Trains with this project."""
    _quiet()
    context = context_of(spec, root)
    setup = set_up(context)
    planned = list(islice(setup.feed.order.steps(0, 0), spec.train.steps))
    trainer = Trainer(context, setup)
    trainer.restore()
    ends = []
    while not trainer.finished:
        trainer.step()
        ends.append((time.perf_counter(), time.process_time()))
    rate = setup.model.recipe.rate
    return Side(
        losses=[record["loss"] for record in trainer.state.history],
        audio=[step.samples / rate for step in planned],
        ends=ends,
        clips=[[clip for unit in step.units for clip in unit.clips] for step in planned],
        windows=sum(len(step.units) for step in planned),
        padded=sum(unit.shape for step in planned for unit in step.units) / rate,
    )


def theirs(spec: RunSpec, root: Path, batches: list[list[int]]) -> Side:
    """Trains with the reference trainer."""
    _quiet()
    context = context_of(spec, root)
    base = folders.fetch(context.storage, keys.model_prefix(spec), context.scratch)
    prefix = keys.data_prefix(spec, spec.lang)
    dataset = Dataset.open(context.storage, prefix, context.scratch, language=spec.lang)
    clock = reference_trainer.train(base, spec, dataset, batches, workers=1)
    clips = dataset.utterances("train")
    audio = [sum(clips[clip].seconds for clip in batch) for batch in batches]
    return Side(losses=clock.losses, audio=audio, ends=clock.ends, clips=batches)


def alone(side: Any, *arguments: Any) -> Any:
    """The result of a side in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(side, *arguments).result()


def compare(name: str, spec: RunSpec, root: Path, *, same_clips: bool) -> str:
    """One row of the table.

    Args:
        name: of the case.
        spec: of the run.
        root: a scratch folder.
        same_clips: the rival has the clips of each of our steps; else batches of its own.
    """
    prepare.run(context_of(spec, root))
    own: Side = alone(ours, spec, root)
    batches = own.clips
    if not same_clips:
        flat = [clip for step in own.clips for clip in step]
        batches = [flat[n * RIVALS_BATCH :][:RIVALS_BATCH] for n in range(spec.train.steps)]
    rival: Side = alone(theirs, spec, root, batches)
    apart = "-"
    if same_clips:
        pairs = zip(own.losses, rival.losses, strict=True)
        apart = f"{max(abs(a - b) for a, b in pairs):.1e}"
    speeds = [(own.speed(clock), rival.speed(clock)) for clock in (0, 1)]
    fill = sum(own.audio) / own.padded
    cells = [f"{mine:.1f} | {other:.1f} | {mine / other:.2f}" for mine, other in speeds]
    windows = own.windows / len(own.audio)
    return f"| {name} | {windows:.0f} | {fill:.0%} | {' | '.join(cells)} | {apart} |"


def _quiet() -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5, help="of the cases with windows of 30 s")
    parser.add_argument("--language", choices=corpora_of_noise.LANGUAGES, default="es")
    parser.add_argument("--only", choices=["micro", *corpora_of_noise.LENGTHS])
    arguments = parser.parse_args()
    steps, language = arguments.steps, arguments.language
    _quiet()
    print(
        "| case | windows a step | filled | audio s/s | Trainer | ratio | "
        "audio s/CPU s | Trainer | ratio | losses apart |"
    )
    print("|-|-|-|-|-|-|-|-|-|-|")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if arguments.only in (None, "micro"):
            options = {"batch_seconds": 72.0, "pack": "none"}
            speech = str(ROOT / "examples" / "speech")
            # Shorter clips would be cropped, and the rival crops none.
            alike = spec_of(MICRO, speech, "el", root / "m", 15, train=options, min_seconds=1.51)
            print(compare("whisper-micro, same clips", alike, root / "m", same_clips=True))
        for name in corpora_of_noise.LENGTHS:
            if arguments.only not in (None, name):
                continue
            place = root / name.replace(" ", "-")
            model = corpora_of_noise.write_model(place / "model")
            corpus = corpora_of_noise.write_corpus(name, place / "corpus", steps, language)
            packed = spec_of(model, str(corpus), language, place, steps)
            row = compare(f"whisper-tiny's shape, {name}", packed, place, same_clips=False)
            print(row, flush=True)


if __name__ == "__main__":
    main()
