"""A storage with everything in it that runs leave there, made without any stage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from jobrunner.core.checkpoint.store import Checkpoints, PartFile
from jobrunner.spec import RunSpec, keys
from jobrunner.spec.record import new_record, write_record
from jobrunner.storage import Storage, folders
from tests import builders

SHARD = b"fLaC" * 100
STEPS = (2, 4)


def fill(storage: Storage, scratch: Path, *, seeds: Sequence[int] = (0, 1)) -> list[str]:
    """Leaves one data set and one base model, and a run of them for each seed.

    Args:
        storage: an empty storage.
        scratch: a folder for files on their way.
        seeds: seeds of the runs.

    Returns:
        The ids of the runs.
    """
    specs = [builders.spec(seed=seed) for seed in seeds]
    _publish(storage, keys.model_prefix(specs[0]), scratch / "model", ("config.json", "weights"))
    _write_data(storage, keys.data_prefix(specs[0], "el"), scratch)
    for spec in specs:
        write_run(storage, spec, scratch)
    return [builders.run_id(spec) for spec in specs]


def write_run(storage: Storage, spec: RunSpec, scratch: Path) -> None:
    """Leaves what a run has: record, history, checkpoints, export, results and logs."""
    run = builders.run_id(spec)
    storage.write(keys.run_file(run), write_record(new_record(spec)).encode())
    storage.write(keys.history_file(run), b"{}\n")
    checkpoints = Checkpoints(storage, run, "attempt", scratch, print)
    for step in STEPS:
        part = scratch / keys.WEIGHTS
        part.write_bytes(f"weights of {run} at {step}".encode())
        digest = hashlib.sha256(part.read_bytes()).hexdigest()
        size = part.stat().st_size
        named = {keys.WEIGHTS: PartFile(path=part, size=size, sha256=digest)}
        checkpoints.write(step, named, {})
    _publish(storage, keys.export_prefix(run), scratch / f"export-{run}", (keys.CARD, "weights"))
    storage.write(keys.predictions_file(run, "tuned", "fleurs", "el"), b"predictions")
    storage.write(keys.result_file(run, "tuned", "fleurs", "el"), b"{}")
    storage.write(keys.log_file(run, "train", "attempt"), b"a line\n")


def _publish(storage: Storage, prefix: str, folder: Path, names: Sequence[str]) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(f"{name} of {prefix}")
    folders.publish(storage, prefix, folder, changing=[keys.CARD])


def _write_data(storage: Storage, prefix: str, scratch: Path) -> None:
    """A split in today's form, one as 0.1.0 prepared it, and a report."""
    folder = scratch / "test"
    folder.mkdir()
    (folder / "00000-abc.flacs").write_bytes(SHARD)
    (folder / "index-abc.jsonl").write_bytes(b"{}\n")
    folders.publish(storage, f"{prefix}test/", folder)
    index = b"{}\n{}\n"
    named = f"train/index-{hashlib.sha256(index).hexdigest()[:12]}.jsonl"
    shard = "train/00000-abc.flacs"
    storage.write(prefix + shard, SHARD)
    storage.write(prefix + named, index)
    record = {"shard": shard, "rows": [{"offset": 0, "size": 150}, {"offset": 150, "size": 250}]}
    storage.write(f"{prefix}train/00000.json", json.dumps(record).encode())
    digest = hashlib.sha256(SHARD).hexdigest()
    manifest = {"version": 1, "index": named, "shards": {shard: digest}}
    storage.write(f"{prefix}train/{folders.MANIFEST}", json.dumps(manifest).encode())
    storage.write(f"{prefix}report.json", b"{}")
