"""Prepared speech as training and evaluation read it: utterances in a fixed order, and their audio.

A `Dataset` can be pickled, so that workers of a DataLoader read for themselves. Shards in local
storage are read in place; other shards are fetched into scratch when one of their clips is first
needed. Memory holds one clip at a time besides the list of utterances.
"""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from jobrunner.core.data import layout
from jobrunner.core.data.layout import SAMPLE_RATE, SPLITS, Split, Utterance
from jobrunner.errors import DataError, Lost, StorageError, disk_errors
from jobrunner.storage import Storage
from jobrunner.storage.folders import discard, fetch_verified, not_stored, sha256

__all__ = ["SAMPLE_RATE", "SPLITS", "Dataset", "Split", "Utterance"]


class Dataset:
    """Prepared speech of one language. `Dataset.open` makes one."""

    def __init__(
        self,
        storage: Storage,
        prefix: str,
        scratch: Path,
        manifests: Mapping[str, dict[str, Any]],
        language: str,
    ) -> None:
        self.prefix = prefix
        self.language = language
        self._storage = storage
        self._cache = scratch / prefix.strip("/").replace("/", "_")
        self._manifests = dict(manifests)

    @classmethod
    def open(cls, storage: Storage, prefix: str, scratch: Path, *, language: str) -> Dataset:
        """Opens the data set at a prefix.

        Args:
            storage: storage of the data set.
            prefix: from `keys.data_prefix`; ends with a slash.
            scratch: a folder on a local disk for shards of a remote storage.
            language: code of its language.

        Raises:
            Lost: no split of it is prepared, or a manifest is damaged.
        """
        manifests = {split: layout.read_manifest(storage, prefix, split) for split in SPLITS}
        complete = {str(split): manifest for split, manifest in manifests.items() if manifest}
        if not complete:
            raise Lost(f"{prefix} holds no prepared speech.")
        return cls(storage, prefix, scratch, complete, language)

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that are complete, of `train`, `validation` and `test`."""
        return tuple(split for split in SPLITS if split in self._manifests)

    def utterances(self, split: str) -> list[Utterance]:
        """All utterances of a split, in an order that depends only on the data.

        Raises:
            Lost: the split is not prepared, or its index is missing or damaged.
        """
        if split not in self._manifests:
            raise Lost(f"{self.prefix} has no prepared split {split!r}.")
        lines = layout.read_index(self._storage, self.prefix, self._manifests[split])
        return [
            Utterance(
                index=index,
                shard=line["shard"],
                offset=line["offset"],
                size=line["size"],
                seconds=line["samples"] / SAMPLE_RATE,
                text=line["text"],
                speaker=line["speaker"],
                clip=line["clip"],
                language=self.language,
            )
            for index, line in enumerate(lines)
        ]

    def audio(self, utterance: Utterance) -> npt.NDArray[np.float32]:
        """The samples of an utterance: float32 [samples] from -1 to 1 at 16 kHz.

        Raises:
            Lost: the shard is missing or damaged in storage.
            StorageError: this machine's copy of the shard was damaged, and is gone now.
            DataError: the shard is as it was prepared, and yet the clip cannot be decoded.
        """
        path = self._shard(utterance.shard)
        place = f"in {path.parent}"
        with disk_errors(place, name=str(path)), path.open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), utterance.size, utterance.offset)
        try:
            samples, _ = soundfile.read(io.BytesIO(data), dtype="float32")
        except soundfile.LibsndfileError:
            raise self._damaged(utterance, path) from None
        return np.asarray(samples, dtype=np.float32)

    @property
    def in_place(self) -> bool:
        """True if shards are read where they are stored, so that nothing has to be fetched."""
        return self._storage.local_path(self.prefix) is not None

    def fetch(self, shard: str) -> None:
        """Makes a shard readable on this machine; returns at once if it is.

        Raises:
            Lost: the shard is missing or damaged in storage.
            StorageError: storage refused.
        """
        self._shard(shard)

    def _damaged(self, utterance: Utterance, path: Path) -> StorageError | DataError:
        """The error for a clip that cannot be decoded; a damaged shard is gone afterwards."""
        key = self.prefix + utterance.shard
        if sha256(path) == self._digest(utterance.shard):
            return DataError(f"{key}: {utterance.clip} cannot be decoded.")
        if self._storage.local_path(key):
            return discard(
                self._storage, key, f"differs from its manifest: {utterance.clip} is damaged"
            )
        path.unlink(missing_ok=True)
        return StorageError(f"{path}, this machine's copy of {key}, is damaged; it is removed.")

    def _digest(self, shard: str) -> str:
        """SHA-256 (hex) of a shard."""
        return str(self._manifests[shard.partition("/")[0]]["shards"][shard])

    def _shard(self, name: str) -> Path:
        key = self.prefix + name
        if own := self._storage.local_path(key):
            if not own.exists():
                raise not_stored(key)
            return own
        path = self._cache / name
        if not path.exists():
            self._fetch(key, path, self._digest(name))
        return path

    def _fetch(self, key: str, path: Path, digest: str) -> None:
        """Downloads a shard once, however many workers want it, and verifies its SHA-256."""
        with disk_errors(f"in {self._cache}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if path.exists():
                    return
                temporary = path.with_suffix(".incomplete")
                fetch_verified(self._storage, key, temporary, digest)
                temporary.replace(path)
