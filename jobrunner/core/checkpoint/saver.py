"""Saves checkpoints in the background: training waits only for the copy to host memory."""

from __future__ import annotations

import json
import math
import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from jobrunner.catalog import nodes
from jobrunner.core.checkpoint import tensors
from jobrunner.core.checkpoint.store import Checkpoints, PartFile
from jobrunner.errors import StorageError, StorageFull
from jobrunner.spec import keys
from jobrunner.storage import Storage

# Seconds between tries of an upload: an outage of a few minutes costs nothing, because training
# continues meanwhile.
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 60.0, 60.0)
# Longest wait for an upload, in seconds and in times of what it is expected to take. Storage that
# takes longer is as good as away; another attempt continues from the checkpoint before.
LONGEST_WAIT = 600.0
LONGEST_TIMES = 4.0


class Saver:
    """Writes one checkpoint at a time, in a thread.

    Args:
        checkpoints: destination.
        storage: storage for the history, which people can read during the run.
        run: run id.
        scratch: a folder on a local disk.
        about: more entries for each manifest, such as library versions.
        log: logs one line for people.
        retry_seconds: seconds between tries.
        on_saved: called after each commit with the seconds since the snapshot.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        storage: Storage,
        run: str,
        scratch: Path,
        about: Mapping[str, Any],
        log: Callable[[str], None],
        retry_seconds: tuple[float, ...] = RETRY_SECONDS,
        on_saved: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._checkpoints = checkpoints
        self._storage = storage
        self._run = run
        self._scratch = scratch
        self._about = about
        self._log = log
        self._retry_seconds = retry_seconds
        self._on_saved = on_saved
        self._snapshot = tensors.Snapshot()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.stalled_seconds = 0.0
        """Time that training waited for the last save."""
        self.speed: float | None = None
        """Bytes a second of the last save, from its snapshot to its commit."""
        self._size = 0

    def save(
        self,
        step: int,
        groups: Mapping[str, Mapping[str, torch.Tensor]],
        files: Mapping[str, bytes],
        best: int | None,
        also: Collection[int] = (),
    ) -> None:
        """Takes a snapshot and uploads it in the background.

        Args:
            step: optimiser steps done.
            groups: file name → tensor name → tensor.
            files: contents of other parts by file name.
            best: step of the best checkpoint, which is kept.
            also: steps of other checkpoints to keep.

        Raises:
            StorageError: the save before this one failed for good.
        """
        self.finish()
        self._size = size_of(groups)
        started = time.perf_counter()
        flat = {f"{group}/{name}": t for group, held in groups.items() for name, t in held.items()}
        taken = self._snapshot.take(flat)
        held = {
            group: {name: taken[f"{group}/{name}"] for name in tensors_}
            for group, tensors_ in groups.items()
        }
        # A daemon, so that a stage whose grace period is over can end without its upload.
        self._thread = threading.Thread(
            target=self._work, args=(step, held, dict(files), best, also), daemon=True
        )
        self._thread.start()
        self.stalled_seconds = time.perf_counter() - started

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the upload in flight; True if none is left.

        Raises:
            StorageError: it failed for good.
        """
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return True

    def check(self) -> None:
        """Raises the error of an upload that has failed; never waits."""
        self.wait(timeout=0)

    @property
    def busy(self) -> bool:
        """True while an upload is in flight."""
        return self._thread is not None and self._thread.is_alive()

    def finish(self) -> None:
        """Waits for the upload in flight as long as it may reasonably take.

        Raises:
            StorageError: it failed for good, or did not end.
        """
        longest = LONGEST_WAIT + LONGEST_TIMES * self.expected_seconds(self._size)
        if not self.wait(timeout=longest):
            raise StorageError(
                f"An upload of {self._size / 1e9:.1f} GB did not end in {longest / 60:.0f} min.",
                hint="The next attempt continues from the checkpoint before it.",
            )

    def expected_seconds(self, size: int) -> float:
        """Time from a snapshot of `size` bytes to its commit, by the speed that was measured."""
        return size / (self.speed or nodes.UPLOAD_SPEED)

    def recall_speed(self) -> None:
        """Reads the speed that an earlier attempt measured; keeps none if there is none."""
        try:
            speed = json.loads(self._storage.read(keys.upload_file(self._run)))["bytes_per_second"]
        except (StorageError, ValueError, KeyError, TypeError):
            return
        if isinstance(speed, int | float) and 0 < speed < math.inf:
            self.speed = float(speed)

    def _work(
        self,
        step: int,
        held: Mapping[str, Mapping[str, torch.Tensor]],
        files: Mapping[str, bytes],
        best: int | None,
        also: Collection[int],
    ) -> None:
        folder = self._scratch / f"{self._run}-saving-{step}"
        try:
            started = time.perf_counter()
            folder.mkdir(parents=True, exist_ok=True)
            parts = _write_parts(folder, held, files)
            self._upload(step, parts)
            seconds = time.perf_counter() - started
            self.speed = sum(part.size for part in parts.values()) / max(seconds, 1e-6)
            self._on_saved(seconds)
            self._checkpoints.retain(step, best, also)
            self._publish(files[keys.HISTORY])
        # The next call in the training thread raises any error.
        except BaseException as error:  # noqa: BLE001
            self._error = error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _upload(self, step: int, parts: Mapping[str, PartFile]) -> None:
        for wait in (*self._retry_seconds, None):
            try:
                return self._checkpoints.write(step, parts, self._about)
            except StorageFull:
                raise
            except StorageError as error:
                if wait is None:
                    raise
                self._log(
                    f"checkpoint of step {step} not saved yet: {error}; again in {wait:.0f} s"
                )
                time.sleep(wait)
        return None

    def _publish(self, history: bytes) -> None:
        try:
            self._storage.write(keys.history_file(self._run), history)
            speed = json.dumps({"bytes_per_second": self.speed}).encode()
            self._storage.write(keys.upload_file(self._run), speed)
        except StorageError as error:
            self._log(f"history not written: {error}")


def size_of(groups: Mapping[str, Mapping[str, torch.Tensor]]) -> int:
    """Bytes of the tensors of a checkpoint."""
    return sum(tensor.nbytes for named in groups.values() for tensor in named.values())


def _write_parts(
    folder: Path,
    held: Mapping[str, Mapping[str, torch.Tensor]],
    files: Mapping[str, bytes],
) -> dict[str, PartFile]:
    parts = {}
    for name, named in held.items():
        size, digest = tensors.write(folder / name, named)
        parts[name] = PartFile(path=folder / name, size=size, sha256=digest)
    for name, data in files.items():
        size, digest = tensors.write_pieces(folder / name, [memoryview(data)])
        parts[name] = PartFile(path=folder / name, size=size, sha256=digest)
    return parts
