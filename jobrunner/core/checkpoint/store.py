"""Checkpoints in storage: complete or invisible.

    <run>/checkpoints/step-00001000/<attempt>/<part>         weights, optimiser, state or history
    <run>/checkpoints/step-00001000/<attempt>/manifest.json  size and SHA-256 of each part
    <run>/checkpoints/step-00001000/COMMIT                   the attempt, and the manifest's SHA-256

`COMMIT` is written last, and created only if it does not exist. So one of two attempts at a step
wins, and an attempt that was killed halfway leaves nothing that is ever read. A superseded attempt
commits nothing (see claim.py).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobrunner.core.checkpoint.claim import Claim
from jobrunner.errors import CheckpointError, NotFound, StorageError
from jobrunner.spec import keys
from jobrunner.spec.keys import COMMIT
from jobrunner.storage import Storage
from jobrunner.storage.folders import MANIFEST, fetch_file

# Newest committed checkpoints that are kept besides the best one: the very newest may be damaged.
KEPT = 2


@dataclass(frozen=True, kw_only=True)
class PartFile:
    """One file of a checkpoint, on this machine."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Restored:
    """A verified checkpoint on this machine."""

    step: int
    folder: Path
    passed_over: int
    """Newer checkpoints that did not verify."""


class _DamagedError(Exception):
    """A checkpoint cannot be used; the text says why."""


class Checkpoints:
    """The checkpoints of one run, as one attempt sees them.

    Args:
        storage: storage of the checkpoints.
        run: run id.
        attempt: name of this attempt; its parts never share a key with another's.
        scratch: a folder on a local disk.
        log: logs one line for people.
        another: number for --again that makes another run of the same spec.
    """

    def __init__(
        self,
        storage: Storage,
        run: str,
        attempt: str,
        scratch: Path,
        log: Callable[[str], None],
        *,
        another: int = 1,
    ) -> None:
        self._storage = storage
        self._run = run
        self._attempt = attempt
        self._scratch = scratch
        self._log = log
        self._another = another
        self._damaged: set[int] = set()
        self.claim = Claim(storage, run, attempt)
        """This attempt's right to commit."""

    def committed(self) -> list[int]:
        """Steps with a COMMIT, newest first."""
        return sorted((step for step, held in self._held().items() if COMMIT in held), reverse=True)

    def write(self, step: int, parts: Mapping[str, PartFile], about: Mapping[str, Any]) -> None:
        """Uploads and commits a checkpoint. Once this returns, an attempt can resume from it.

        Args:
            step: optimiser steps done.
            parts: files by name.
            about: more entries for the manifest, such as library versions.

        Raises:
            Superseded: another attempt is training this run.
            StorageError: storage refused; the checkpoint may or may not be committed.
        """
        prefix = keys.checkpoint_prefix(self._run, step)
        for name, part in parts.items():
            self._storage.write_file(f"{prefix}{self._attempt}/{name}", part.path)
        files = {name: {"size": part.size, "sha256": part.sha256} for name, part in parts.items()}
        manifest = json.dumps({**about, "step": step, "files": files}, indent=1).encode()
        self._storage.write(f"{prefix}{self._attempt}/{MANIFEST}", manifest)
        digest = hashlib.sha256(manifest).hexdigest()
        marker = json.dumps({"attempt": self._attempt, "manifest": digest}).encode()
        self.claim.check()
        if step in self._damaged:
            self._storage.delete(prefix + COMMIT)
            self._damaged.discard(step)
        if self._storage.create(prefix + COMMIT, marker):
            return
        if not self._complete(step):
            # The winner seemed dead: its parts were deleted before it wrote its marker.
            self._storage.delete(prefix + COMMIT)
            if not self._storage.create(prefix + COMMIT, marker):
                raise StorageError(f"Another attempt at {self._run} commits at the same time.")

    def restore(self) -> Restored | None:
        """Fetches the newest checkpoint that verifies; None if there are no checkpoints.

        From then on, attempts that began earlier commit nothing.

        Raises:
            CheckpointError: there are checkpoints, but none verifies.
            StorageError: storage does not answer, so nothing is known about the checkpoints.
        """
        self.claim.take()
        steps = self.committed()
        for step in steps:
            try:
                folder = self._fetch(step)
            except _DamagedError as error:
                self._log(f"checkpoint of step {step} cannot be used: {error}; trying an older one")
                self._damaged.add(step)
                continue
            return Restored(step=step, folder=folder, passed_over=len(self._damaged))
        if steps:
            only = len(steps) == 1
            raise CheckpointError(
                f"The only checkpoint of {self._run} does not verify."
                if only
                else f"None of the {len(steps)} checkpoints of {self._run} verifies.",
                hint=f"To start over, submit it with --again {self._another}. Or restore "
                f"{'it' if only else 'them'} from a backup and submit the run as before.",
            )
        return None

    def fetch_part(self, step: int, name: str) -> Path:
        """Fetches and verifies one part of a checkpoint.

        Raises:
            CheckpointError: the checkpoint is gone or does not verify.
        """
        try:
            return self._fetch(step, only=name) / name
        except _DamagedError as error:
            raise CheckpointError(
                f"The checkpoint of step {step} cannot be used: {error}."
            ) from None

    def retain(self, newest: int, best: int | None, also: Collection[int] = ()) -> None:
        """Deletes checkpoints except the newest, the best, `also`, and those that others may be
        writing.

        Parts without COMMIT up to the step `newest` belong to attempts that died; those of later
        steps may still be written. A failed delete is tried again after the next save.
        """
        try:
            held_by_step = self._held()
            sound = {step for step, held in held_by_step.items() if COMMIT in held} - self._damaged
            # Damaged ones ahead of this attempt are replaced when it reaches their steps.
            kept = {*sorted(sound, reverse=True)[:KEPT], best, *also, *self._damaged}
            for step, held in held_by_step.items():
                if COMMIT in held and step in kept:
                    self._delete_losers(step, held)
                elif COMMIT in held or step <= newest:
                    self._delete(step, sorted(held, key=lambda name: name != COMMIT))
        except (StorageError, _DamagedError) as error:
            self._log(f"old checkpoints stay for now: {error}")

    def keep_only(self, kept: Collection[int | None]) -> int:
        """Deletes all checkpoints but those of these steps; returns the number of those deleted.

        Only for a training that is over: parts without COMMIT, which nobody writes then, go too.

        Raises:
            Superseded: another attempt is training this run.
            StorageError: storage refused; what is left can be deleted later.
        """
        self.claim.check()
        deleted = 0
        for step, held in self._held().items():
            if step not in kept or COMMIT not in held:
                self._delete(step, sorted(held, key=lambda name: name != COMMIT))
                deleted += COMMIT in held
        return deleted

    def _delete_losers(self, step: int, held: set[str]) -> None:
        """Deletes files that the committed attempt did not write."""
        if len({name.partition("/")[0] for name in held if name != COMMIT}) > 1:
            winner = self._marker(step)["attempt"] + "/"
            self._delete(
                step, [name for name in held if name != COMMIT and not name.startswith(winner)]
            )

    def _delete(self, step: int, names: list[str]) -> None:
        for name in names:
            self._storage.delete(keys.checkpoint_prefix(self._run, step) + name)

    def _held(self) -> dict[int, set[str]]:
        """Step → keys below its prefix."""
        held: dict[int, set[str]] = {}
        for entry in self._storage.list(keys.checkpoints_prefix(self._run)):
            step = keys.checkpoint_step(self._run, entry.key)
            if step is not None:
                prefix = keys.checkpoint_prefix(self._run, step)
                held.setdefault(step, set()).add(entry.key.removeprefix(prefix))
        return held

    def _marker(self, step: int) -> dict[str, str]:
        key = keys.checkpoint_prefix(self._run, step) + COMMIT
        try:
            marker = json.loads(self._storage.read(key))
            return {"attempt": marker["attempt"], "manifest": marker["manifest"]}
        except (NotFound, ValueError, KeyError, TypeError):
            raise _DamagedError(f"{COMMIT} cannot be read") from None

    def _manifest(self, step: int) -> tuple[str, dict[str, dict[str, Any]]]:
        """The prefix of a checkpoint's parts, and the manifest's entry for each of them."""
        marker = self._marker(step)
        prefix = f"{keys.checkpoint_prefix(self._run, step)}{marker['attempt']}/"
        try:
            data = self._storage.read(prefix + MANIFEST)
        except NotFound:
            raise _DamagedError(f"{MANIFEST} is missing") from None
        if hashlib.sha256(data).hexdigest() != marker["manifest"]:
            raise _DamagedError(f"{MANIFEST} differs from what was committed")
        return prefix, json.loads(data)["files"]

    def _complete(self, step: int) -> bool:
        """True if a committed checkpoint has all its parts, judged by their sizes."""
        try:
            prefix, files = self._manifest(step)
        except _DamagedError:
            return False
        entries = {name: self._storage.stat(prefix + name) for name in files}
        return all(e is not None and e.size == files[name]["size"] for name, e in entries.items())

    def _fetch(self, step: int, only: str = "") -> Path:
        """Downloads and verifies the parts of a checkpoint."""
        prefix, files = self._manifest(step)
        folder = self._scratch / f"{self._run}-step-{step}-{self._attempt}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, entry in files.items():
            if only and name != only:
                continue
            # A body that was cut in transit is read once more before the part counts as damaged.
            for last in (False, True):
                try:
                    digest = fetch_file(self._storage, prefix + name, folder / name)
                except NotFound:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise _DamagedError(f"{name} is missing") from None
                if digest == entry["sha256"]:
                    break
                if last:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise _DamagedError(f"{name} differs from its manifest")
        return folder
