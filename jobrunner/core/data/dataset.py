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
from jobrunner.errors import NotFound, StorageError, disk_errors
from jobrunner.storage import Storage
from jobrunner.storage.folders import fetch_file

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
            NotFound: no split of it is prepared.
        """
        manifests = {split: layout.read_manifest(storage, prefix, split) for split in SPLITS}
        complete = {str(split): manifest for split, manifest in manifests.items() if manifest}
        if not complete:
            raise NotFound(f"{prefix} holds no prepared speech.", hint="Prepare comes first.")
        return cls(storage, prefix, scratch, complete, language)

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that are complete, of `train`, `validation` and `test`."""
        return tuple(split for split in SPLITS if split in self._manifests)

    def utterances(self, split: str) -> list[Utterance]:
        """All utterances of a split, in an order that depends only on the data.

        Raises:
            NotFound: the split is not prepared.
        """
        if split not in self._manifests:
            raise NotFound(f"{self.prefix} has no prepared split {split!r}.")
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
            StorageError: the shard is missing or damaged.
        """
        with self._shard(utterance.shard).open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), utterance.size, utterance.offset)
        try:
            samples, _ = soundfile.read(io.BytesIO(data), dtype="float32")
        except soundfile.LibsndfileError:
            raise StorageError(
                f"{self.prefix}{utterance.shard}: {utterance.clip} is damaged.",
                hint="Delete the data set's folder and prepare again.",
            ) from None
        return np.asarray(samples, dtype=np.float32)

    def _shard(self, name: str) -> Path:
        key = self.prefix + name
        if own := self._storage.local_path(key):
            if not own.exists():
                raise NotFound(f"{key} is not in storage.")
            return own
        path = self._cache / name
        if not path.exists():
            self._fetch(key, path, self._manifests[name.partition("/")[0]]["shards"][name])
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
                fetch_file(self._storage, key, temporary, expected=digest)
                temporary.replace(path)
