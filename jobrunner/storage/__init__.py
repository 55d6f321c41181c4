"""Where data, checkpoints and results live: a folder or an S3 bucket."""

from __future__ import annotations

from pathlib import Path

from jobrunner.storage.base import Entry, Storage, probe

__all__ = ["Entry", "Storage", "open_storage", "probe"]


def open_storage(url: str, *, endpoint: str = "") -> Storage:
    """The storage behind a URL: a folder, or `s3://BUCKET/PREFIX`.

    Args:
        url: where it is.
        endpoint: of an S3 server; empty: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, or AWS.

    Raises:
        StorageError: the URL or the endpoint cannot be one.
    """
    if url.startswith("s3://"):
        from jobrunner.storage.s3 import S3Storage

        return S3Storage(url, endpoint=endpoint)
    from jobrunner.storage.local import LocalStorage

    return LocalStorage(Path(url.removeprefix("file://")))
