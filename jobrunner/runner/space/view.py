"""A storage and what can be done about its content: look, check, repair, free."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from jobrunner.errors import UsageError
from jobrunner.runner.space import check, inventory, unused
from jobrunner.runner.space.check import CheckUp
from jobrunner.runner.space.contents import Complete
from jobrunner.runner.space.inventory import Inventory, SharedFolder
from jobrunner.spec import keys
from jobrunner.storage import Storage, open_storage


@dataclass(frozen=True)
class StorageView:
    """One storage. `view` makes one from a URL."""

    storage: Storage

    @property
    def url(self) -> str:
        """`s3://BUCKET/PREFIX` or an absolute folder."""
        return self.storage.url

    def inventory(self) -> Inventory:
        """The content of the storage. Raises StorageError if storage refuses."""
        return inventory.take(self.storage)

    def check(self, *, deep: bool = False, live: Collection[str] = ()) -> CheckUp:
        """Everything that is damaged or half-written; see `check.check`."""
        return check.check(self.storage, deep=deep, live=live)

    def unused(self, *, live: Collection[str], before: float) -> tuple[SharedFolder, ...]:
        """Prepared speech and base models that no run uses; see `unused.unused`."""
        return unused.unused(self.inventory(), live=live, before=before)

    def remove(self, folders: Iterable[SharedFolder]) -> None:
        """Removes shared folders. Raises StorageError if storage refuses."""
        unused.remove(self.storage, folders)

    def repair(self, found: CheckUp, damaged: Iterable[Complete]) -> None:
        """Has damaged folders made again by the next submit, and removes what is half-written.

        Args:
            found: what a check found.
            damaged: the folders of it to repair.

        Raises:
            StorageError: storage refused; a second repair continues.
        """
        for folder in damaged:
            check.repair(self.storage, folder, [d for d in found.damages if d.folder == folder])
        for leftover in found.leftovers:
            check.remove(self.storage, leftover)


def view(url: str, *, endpoint: str = "") -> StorageView:
    """Opens a storage that exists.

    Args:
        url: a folder or an S3 URL.
        endpoint: endpoint of an S3 storage.

    Raises:
        UsageError: it is a folder that is not there.
        StorageError: the URL or the endpoint is invalid.
    """
    storage = open_storage(url, endpoint=endpoint)
    folder = storage.local_path(keys.RUNS)
    if folder is not None and not folder.parent.is_dir():
        raise UsageError(
            f"There is no storage at {storage.url}.",
            hint="Name one with --storage; the first run makes it.",
        )
    return StorageView(storage)
