"""The fine-tuned model of a run, as a folder of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobrunner.catalog import models
from jobrunner.errors import Lost, StorageError, UsageError
from jobrunner.reports.usage import Usage, python
from jobrunner.spec import keys
from jobrunner.spec.record import RunRecord
from jobrunner.storage import Storage, folders
from jobrunner.storage.copies import Copied, copy_out


@dataclass(frozen=True, kw_only=True)
class Export:
    """A model that was copied from storage."""

    folder: Path
    copied: Copied
    usage: Usage
    """The place, and the lines of Python that load it from there."""


def export(
    record: RunRecord,
    folder: Path,
    *,
    before_file: Callable[[str, int], None] = lambda name, size: None,
) -> Export:
    """Copies the model of a run; continues a copy that was interrupted.

    Args:
        record: the run.
        folder: destination; created if it is missing.
        before_file: gets name and size in bytes of each file that is fetched.

    Raises:
        UsageError: the run has no model yet, or trains none; or the folder has other files.
        StorageError: storage does not answer, or a file is missing or damaged.
    """
    spec = record.spec
    storage, prefix = _published(record)
    folder = folder.expanduser()
    with _made_again(record):
        copied = copy_out(storage, prefix, folder, changing=[keys.CARD], before_file=before_file)
    family = models.family_in((folder / "config.json").read_bytes(), shown=str(folder))
    lines = python(str(folder), lang=spec.lang, model=spec.model, family=family)
    usage = Usage(place=str(folder), command="", python=lines)
    return Export(folder=folder, copied=copied, usage=usage)


def here(record: RunRecord) -> Path:
    """The run's model on this machine: in its storage, or a copy in the user's cache.

    Raises:
        UsageError, StorageError: see `export`.
    """
    storage, prefix = _published(record)
    if own := storage.local_path(prefix):
        return own
    from platformdirs import user_cache_path

    folder = user_cache_path("jobrunner") / "models" / record.run
    with _made_again(record):
        copy_out(storage, prefix, folder)
    return folder


@contextmanager
def _made_again(record: RunRecord) -> Iterator[None]:
    """Says how a model that storage lost comes back."""
    try:
        yield
    except Lost as error:
        raise StorageError(
            f"{record.spec.storage}: {error.message}",
            hint=f"`jobrunner resume {record.run}` makes it again from the last checkpoint.",
        ) from None


def _published(record: RunRecord) -> tuple[Storage, str]:
    """The storage of the run's model, and its prefix there."""
    spec = record.spec
    if spec.task != "fine-tune":
        raise UsageError(
            f"{record.run} measures {spec.model} and trains no model.",
            hint="`jobrunner submit` starts a run that does.",
        )
    storage, prefix = spec.open_storage(), keys.export_prefix(record.run)
    if storage.stat(prefix + folders.MANIFEST) is None:
        raise UsageError(
            f"{record.run} has no model in {spec.storage} yet.",
            hint=f"`jobrunner status {record.run}` shows how far it is; of a run that has ended, "
            f"`jobrunner resume {record.run}` makes the model again.",
        )
    return storage, prefix
