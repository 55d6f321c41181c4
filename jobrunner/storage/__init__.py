"""Storage of data, checkpoints and results: a folder or an S3 bucket."""

from __future__ import annotations

from pathlib import Path

from jobrunner.storage.base import Entry, Storage, probe

__all__ = ["Entry", "Storage", "open_storage", "probe"]


def open_storage(url: str, *, endpoint: str = "") -> Storage:
    """The storage behind a URL: a folder, or `s3://BUCKET/PREFIX`.

    Args:
        url: a folder or an S3 URL.
        endpoint: URL of an S3 server; if empty, that of `AWS_ENDPOINT_URL_S3` or
            `AWS_ENDPOINT_URL`, else AWS.

    Raises:
        StorageError: the URL or the endpoint is invalid.
    """
    if url.startswith("s3://"):
        from jobrunner.storage.s3 import S3Storage

        return S3Storage(url, endpoint=endpoint)
    from jobrunner.storage.local import LocalStorage

    return LocalStorage(Path(url.removeprefix("file://")))
