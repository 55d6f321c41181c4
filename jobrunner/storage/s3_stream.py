"""A stream over one S3 object that resumes after a broken connection."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from jobrunner.errors import StorageError
from jobrunner.storage import s3_errors

if TYPE_CHECKING:
    from jobrunner.storage.s3_client import S3Client

# Bytes per read when the whole object is read.
CHUNK = 1 << 20


class S3Stream(io.RawIOBase):
    """The bytes of one version of an object; replacing it while it is read is an error.

    Args:
        client: client of the server.
        bucket: name of the bucket.
        key: the full key in the bucket.

    Raises:
        NotFound: the object does not exist.
        StorageError: the server refused, or did not answer.
    """

    def __init__(self, client: S3Client, bucket: str, key: str) -> None:
        super().__init__()
        self._client = client
        self._where = {"Bucket": bucket, "Key": key}
        self._place = f"s3://{bucket}/{key}"
        self._offset = 0
        answer = client.call("get_object", self._place, **self._where)
        self._body: Any = answer["Body"]
        self._size = int(answer["ContentLength"])
        self._etag = answer["ETag"]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size}[whence]
        if start + offset != self._offset:
            self._drop()
            self._offset = max(0, start + offset)
        return self._offset

    def readinto(self, buffer: Any) -> int:
        if self._offset >= self._size or not len(buffer):
            return 0
        data = self._client.retry(lambda: self._next(len(buffer)), self._place, "get_object")
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)

    def readall(self) -> bytes:
        chunks = []
        while chunk := self.read(CHUNK):
            chunks.append(chunk)
        return b"".join(chunks)

    def close(self) -> None:
        self._drop()
        super().close()

    def _next(self, size: int) -> bytes:
        """Reads at least one byte from the offset; a call after an error connects again."""
        try:
            body = self._body or self._reopen()
            data: bytes = body.read(min(size, self._size - self._offset))
            if not data:
                raise s3_errors.BodyCutError(self._place)
        except s3_errors.FAILURES:
            self._drop()
            raise
        return data

    def _reopen(self) -> Any:
        try:
            answer = self._client.boto().get_object(
                **self._where, Range=f"bytes={self._offset}-", IfMatch=self._etag
            )
        except s3_errors.FAILURES as error:
            if s3_errors.status(error) == 412:
                raise StorageError(f"{self._place} was replaced while it was read.") from None
            raise
        if answer["ETag"] != self._etag or answer["ContentLength"] != self._size - self._offset:
            raise StorageError(f"{self._place} was replaced while it was read.")
        self._body = answer["Body"]
        return self._body

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
        self._body = None
