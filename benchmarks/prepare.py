"""How fast `prepare` turns 48 kHz MP3 into 16 kHz shards, and whether its memory stays flat.

    python benchmarks/prepare.py                 # about 2 minutes on 2 cores
    python benchmarks/prepare.py --clips 500

Clips of 5 s are cut from the speech in examples/speech. All runs use one core. Rates are taken
over CPU seconds, so that other work on the machine disturbs them little; three rounds of the three
ways are interleaved and the best of each counts. Prints Markdown; writes nothing that it leaves.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

ROOT = Path(__file__).parent.parent
SECONDS, RATE = 5, 48_000
ROUNDS = 3
# Size of the larger set, as a multiple of the smaller one.
GROWTH = 8
TARGET = 120


def speech() -> npt.NDArray[np.float32]:
    """All Greek training speech of the examples, one clip after the other, at its own 22.05 kHz."""
    clips = sorted((ROOT / "examples/speech/el/train").glob("*.mp3"))
    return np.concatenate([soundfile.read(path, dtype="float32")[0] for path in clips])


def write_clip(piece: npt.NDArray[np.float32], path: Path) -> None:
    """One clip as 48 kHz MP3. This takes 55 ms, much longer than reading it."""
    samples = soxr.resample(piece, 22_050, RATE)
    soundfile.write(path, samples, RATE, format="MP3", compression_level=0.6)


def write_folder(root: Path, count: int) -> Path:
    """An audio folder of `count` different clips of 5 s, every fiftieth of them for testing."""
    source, length = speech(), SECONDS * 22_050
    starts = np.random.default_rng(count).integers(len(source) - length, size=count)
    (root / "clips").mkdir(parents=True)
    names = [f"clips/{at:06d}.mp3" for at in range(count)]
    with multiprocessing.get_context("spawn").Pool() as pool:
        pieces = (
            (source[at : at + length], root / name) for at, name in zip(starts, names, strict=True)
        )
        pool.starmap(write_clip, pieces, chunksize=10)
    rows = [
        (name, f"sentence {at}", f"speaker {at % 50}", "train" if at % 50 else "test")
        for at, name in enumerate(names)
    ]
    with (root / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "text", "speaker", "split"), *rows])
    return root


def bare_loop(paths: list[Path], work: Path) -> int:
    """The floor: decodes and resamples, and stores nothing. Gives the bytes stored."""
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32")
        soxr.resample(samples, rate, 16_000)
    return 0


def datasets_map(paths: list[Path], work: Path) -> int:
    """The usual way: `datasets.map` with the same decoder, which stores the samples in Arrow."""
    import datasets

    def decode(row: dict[str, dict[str, str]]) -> dict[str, object]:
        samples, rate = soundfile.read(row["audio"]["path"], dtype="float32")
        return {"samples": soxr.resample(samples, rate, 16_000)}

    datasets.disable_progress_bars()
    columns = {"audio": [str(path) for path in paths]}
    table = datasets.Dataset.from_dict(columns).cast_column("audio", datasets.Audio(decode=False))
    cache = work / f"{time.monotonic_ns()}.arrow"
    table.map(decode, remove_columns="audio", cache_file_name=str(cache))
    size = cache.stat().st_size
    cache.unlink()
    return size


def shards(paths: list[Path], work: Path) -> int:
    """This project's: decodes, resamples, hashes, encodes to FLAC and writes shards."""
    from jobrunner.core.data.shards import CLIPS_PER_SHARD, Task, make
    from jobrunner.core.data.sources.base import RawClip
    from jobrunner.core.data.sources.folder import FileAudio

    clips = [RawClip(path.name, FileAudio(str(path)), "text", "") for path in paths]
    size = 0
    for at in range(0, len(clips), CLIPS_PER_SHARD):
        make(Task(at, tuple(clips[at : at + CLIPS_PER_SHARD]), 0.2, work / "shard"))
        size += (work / "shard").stat().st_size
    return size


def rates(paths: list[Path], work: Path) -> dict[str, tuple[float, float]]:
    """Way → clips a CPU second (the best of the rounds), and kB stored a clip."""
    ways: list[Callable[[list[Path], Path], int]] = [bare_loop, datasets_map, shards]
    for way in ways:
        way(paths[:2], work)
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for way in ways:
            start = time.process_time()
            size = way(paths, work) / len(paths) / 1000
            rate = len(paths) / (time.process_time() - start)
            best[way.__name__] = (max(rate, best.get(way.__name__, (0.0, 0.0))[0]), size)
    return best


def choices(paths: list[Path]) -> list[tuple[str, float, float]]:
    """(choice, ms a clip, kB a clip) for soxr's qualities and FLAC's levels."""
    clips = [soundfile.read(path, dtype="float32")[0] for path in paths]
    ready = [soxr.resample(clip, RATE, 16_000) for clip in clips]
    rows = []
    for quality in ("LQ", "MQ", "HQ", "VHQ"):
        start = time.process_time()
        for clip in clips:
            soxr.resample(clip, RATE, 16_000, quality=quality)
        rows.append((f"soxr {quality}", (time.process_time() - start) / len(clips) * 1e3, 0.0))
    for level in (0.0, 0.25, 0.5, 1.0):
        start, size = time.process_time(), 0
        for clip in ready:
            file = io.BytesIO()
            soundfile.write(file, clip, 16_000, "PCM_16", format="FLAC", compression_level=level)
            size += len(file.getvalue())
        spent = (time.process_time() - start) / len(clips) * 1e3
        rows.append((f"FLAC {level}", spent, size / len(clips) / 1000))
    return rows


# A small process that starts the stage: peak memory that Linux tells of a process is at least
# that of the process it was forked from.
LAUNCH = """
import json, resource, subprocess, sys, time
start = time.monotonic()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
sys.exit(code)
"""


def stage(folder: Path, work: Path) -> tuple[float, float, float]:
    """The whole stage as a process of its own: wall seconds, CPU seconds, peak memory in MB."""
    from jobrunner.spec import parse
    from jobrunner.spec.record import new_record, write_record

    model = work / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text('{"model_type": "whisper"}')
    (model / "model.safetensors").write_bytes(b"none")
    spec = {
        "lang": "el",
        "model": str(model),
        "storage": str(work / f"storage-{folder.name}"),
        "data": {"source": f"folder:{folder}"},
    }
    (work / "run.json").write_text(write_record(new_record(parse(spec))))
    variables = {"JOBRUNNER_SPEC": str(work / "run.json"), "JOBRUNNER_SCRATCH": str(work)}
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH, sys.executable, "-m", "jobrunner.core", "prepare"],
        env={**os.environ, **variables, "OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    wall, cpu, peak = json.loads(done.stdout)
    return wall, cpu, peak


def main() -> None:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--clips", type=int, default=125, help="clips of the smaller set")
    clips = options.parse_args().clips
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        large = write_folder(work / "large", clips * GROWTH)
        small = write_folder(work / "small", clips)
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
        paths = sorted((small / "clips").iterdir())
        size = sum(path.stat().st_size for path in paths) / len(paths) / 1000
        print(f"{clips} clips of {SECONDS} s, {RATE // 1000} kHz MP3 of {size:.0f} kB, one core\n")
        print("| way | clips a CPU second | to this project | kB a clip |\n|---|---:|---:|---:|")
        found = rates(paths, work)
        ours = found["shards"][0]
        for way, (rate, kb) in found.items():
            print(f"| {way.replace('_', ' ')} | {rate:.0f} | {rate / ours:.2f} | {kb:.0f} |")
        print("\n| choice | ms a clip | kB a clip |\n|---|---:|---:|")
        for choice, spent, kb in choices(paths):
            print(f"| {choice} | {spent:.2f} | {kb:.0f} |")
        print(f"\nTarget: {TARGET}. The whole stage, with Python's start:\n")
        print(
            "| clips | wall s | CPU s | clips a CPU second | peak MB |\n|---:|---:|---:|---:|---:|"
        )
        for folder, count in ((small, clips), (large, clips * GROWTH)):
            wall, cpu, peak = stage(folder, work)
            print(f"| {count} | {wall:.1f} | {cpu:.1f} | {count / cpu:.0f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
