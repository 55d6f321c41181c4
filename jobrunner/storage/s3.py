"""Storage in an S3 bucket, or on any server that speaks S3 with conditional writes.

This module imports boto3, so only `open_storage` imports it, and only for an S3 URL.
"""

from __future__ import annotations

import contextlib
import io
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig

from jobrunner.errors import NotFound, StorageError
from jobrunner.storage import s3_errors
from jobrunner.storage.base import Entry, check_key, check_prefix
from jobrunner.storage.s3_client import CONCURRENT_PARTS, PATIENCE, TRIES_OF_A_PART, S3Client
from jobrunner.storage.s3_stream import S3Stream

MIB = 1 << 20
# Files of at least this size are uploaded in parts. S3 takes 10,000 parts of at least 5 MiB: boto3
# makes parts larger for files over 312 GiB. Parts are read while they are sent, not before.
MULTIPART_FROM, PART = 64 * MIB, 32 * MIB
# Bytes that a stream reads ahead.
READ_AHEAD = MIB
# Metadata of a created object: which call created it. After a lost reply it shows who won.
WRITER = "jobrunner-writer"


class S3Storage:
    """A prefix of a bucket as storage. Credentials come from the ordinary AWS chain.

    Args:
        url: `s3://BUCKET/PREFIX`.
        endpoint: the server's URL; if empty, the environment's, else AWS.
        patience: seconds for which a failing request is retried.
    """

    def __init__(self, url: str, *, endpoint: str = "", patience: float = PATIENCE) -> None:
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        prefix = prefix.strip("/")
        if not bucket:
            raise StorageError(f"{url} has no bucket.", hint="Write s3://BUCKET/PREFIX.")
        self.bucket = bucket
        self._base = f"{check_key(prefix)}/" if prefix else ""
        self._client = S3Client(endpoint=endpoint, patience=patience)
        self._bucket_seen = False

    def __repr__(self) -> str:
        return f"S3Storage({self.url!r}, endpoint={self._client.endpoint!r})"

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self._base}".rstrip("/")

    def read(self, key: str) -> bytes:
        with self.open(key) as stream:
            return stream.read()

    def open(self, key: str) -> BinaryIO:
        stream = S3Stream(self._client, self.bucket, self._key(key))
        return cast(BinaryIO, io.BufferedReader(stream, READ_AHEAD))

    def write(self, key: str, data: bytes) -> None:
        self._call("put_object", key, Body=data)

    def write_file(self, key: str, path: Path) -> None:
        try:
            if path.stat().st_size < MULTIPART_FROM:
                self._client.retry(
                    lambda: self._put_file(key, path), self._place(key), "put_object"
                )
            else:
                self._client.retry(
                    lambda: self._upload_parts(key, path), self._place(key), "upload_part"
                )
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}.") from None

    def create(self, key: str, data: bytes) -> bool:
        writer = uuid.uuid4().hex

        def put() -> bool:
            try:
                self._client.boto().put_object(
                    **self._where(key), Body=data, IfNoneMatch="*", Metadata={WRITER: writer}
                )
            except s3_errors.FAILURES as error:
                if s3_errors.status(error) == 412:
                    return False
                raise
            return True

        try:
            won = self._client.retry(put, self._place(key), "put_object If-None-Match")
        except StorageError:
            # The last reply may have been lost after the server stored the object.
            with contextlib.suppress(StorageError):
                if self._client.answered and self._writer(key) == writer:
                    return True
            raise
        # A refusal is not final either: an earlier try of this call may have stored the object.
        return won or self._writer(key) == writer

    def stat(self, key: str) -> Entry | None:
        head = self._head(key)
        if head is None:
            return None
        return Entry(key=key, size=head["ContentLength"], modified=head["LastModified"].timestamp())

    def list(self, prefix: str) -> Iterator[Entry]:
        arguments = {"Bucket": self.bucket, "Prefix": self._base + check_prefix(prefix)}
        place = f"s3://{self.bucket}/{arguments['Prefix']}"
        while True:
            page = self._page("list_objects_v2", place, arguments)
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):  # a "folder" that a web console made
                    yield Entry(
                        key=item["Key"].removeprefix(self._base),
                        size=item["Size"],
                        modified=item["LastModified"].timestamp(),
                    )
            if not page.get("IsTruncated"):
                break
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        # One by one: delete_objects sends a checksum that some servers refuse.
        try:
            self._call("delete_object", key)
        except NotFound:
            return

    def local_path(self, key: str) -> Path | None:
        return None

    def clean_uploads(self, older_than: float) -> int:
        before = time.time() - older_than
        removed = 0
        for upload in self._uploads():
            if upload["Initiated"].timestamp() < before:
                removed += self._abort(upload["Key"], upload["UploadId"])
        return removed

    def _page(self, operation: str, place: str, arguments: dict[str, str]) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            page: dict[str, Any] = getattr(self._client.boto(), operation)(**arguments)
            # botocore reads a body that was cut before its first byte as an empty list. A run
            # would then see no checkpoints and start from scratch.
            if "IsTruncated" not in page:
                raise s3_errors.BodyCutError(place)
            return page

        return self._client.retry(ask, place, operation)

    def _uploads(self) -> Iterator[dict[str, Any]]:
        arguments = {"Bucket": self.bucket, "Prefix": self._base}
        while True:
            page = self._page("list_multipart_uploads", self.url, arguments)
            yield from page.get("Uploads", ())
            if not page.get("IsTruncated"):
                break
            arguments["KeyMarker"] = page["NextKeyMarker"]
            arguments["UploadIdMarker"] = page["NextUploadIdMarker"]

    def _abort(self, key: str, upload: str) -> bool:
        def abort() -> bool:
            try:
                self._client.boto().abort_multipart_upload(
                    Bucket=self.bucket, Key=key, UploadId=upload
                )
            except s3_errors.FAILURES as error:
                if s3_errors.status(error) == 404:  # its writer finished it meanwhile
                    return False
                raise
            return True

        return self._client.retry(abort, f"s3://{self.bucket}/{key}", "abort_multipart_upload")

    def _put_file(self, key: str, path: Path) -> None:
        with path.open("rb") as file:
            self._client.boto().put_object(**self._where(key), Body=file)

    def _upload_parts(self, key: str, path: Path) -> None:
        config = TransferConfig(
            multipart_threshold=MULTIPART_FROM,
            multipart_chunksize=PART,
            max_concurrency=CONCURRENT_PARTS,
        )
        boto = self._client.boto(tries=TRIES_OF_A_PART)
        try:
            boto.upload_file(str(path), **self._where(key), Config=config)
        except S3UploadFailedError as error:
            # boto3 keeps the server's answer only as the exception's context.
            raise error.__context__ or error from None

    def _writer(self, key: str) -> str | None:
        head = self._head(key)
        return head["Metadata"].get(WRITER) if head else None

    def _head(self, key: str) -> dict[str, Any] | None:
        def head() -> dict[str, Any] | None:
            try:
                return cast(dict[str, Any], self._client.boto().head_object(**self._where(key)))
            except s3_errors.FAILURES as error:
                if s3_errors.status(error) == 404:
                    return None
                if s3_errors.status(error) in {400, 403}:
                    # An answer to HEAD has no body; the answer to GET says why.
                    self._client.boto().get_object(**self._where(key), Range="bytes=0-0")
                raise

        answer = self._client.retry(head, self._place(key), "head_object")
        if answer is None and not self._bucket_seen:
            # A missing bucket answers 404 too; listing it raises an error that says so.
            self._client.call("list_objects_v2", self.url, Bucket=self.bucket, MaxKeys=1)
        self._bucket_seen = True
        return answer

    def _call(self, operation: str, key: str, **arguments: Any) -> dict[str, Any]:
        return self._client.call(operation, self._place(key), **self._where(key), **arguments)

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._key(key)}

    def _key(self, key: str) -> str:
        return self._base + check_key(key)

    def _place(self, key: str) -> str:
        return f"s3://{self.bucket}/{self._key(key)}"
