"""Where data, checkpoints and results live: a folder or an S3 bucket."""

from jobrunner.storage.base import Entry, Storage, open_storage, probe

__all__ = ["Entry", "Storage", "open_storage", "probe"]
