"""One S3 client: endpoint, credentials of the ordinary AWS chain, and retries that outlast a
one-minute outage."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore import exceptions as boto
from botocore.config import Config
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from jobrunner.errors import StorageError
from jobrunner.storage import s3_errors
from jobrunner.waiting import waiting_for

T = TypeVar("T")
logger = logging.getLogger(__name__)

# Seconds for which requests to a server that has answered before are retried.
PATIENCE = 120.0
# Seconds for a server that has never answered (a wrong address does not correct itself), and for a
# short-lived refusal that other writers cause.
FIRST_PATIENCE = 10.0
# Seconds between tries: random, up to twice as long each time, at most LONGEST_WAIT.
FIRST_WAIT, LONGEST_WAIT = 0.2, 8.0
CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 60.0
# botocore's own tries of a request. `S3Client.retry` does better, except for the parts of a large
# upload: it cannot retry a single part, and starting the file again costs minutes. Nine waits of
# botocore's standard mode last a minute on average.
TRIES, TRIES_OF_A_PART = 1, 10
# Parts that are uploaded at the same time; the pool keeps twice as many connections.
CONCURRENT_PARTS = 4
# At DEBUG these print signatures and session tokens.
_TALKATIVE = ("botocore", "boto3", "s3transfer", "urllib3")


class S3Client:
    """A client of one process: created anew after a fork, and left out of pickles.

    Args:
        endpoint: the server's URL; if empty, the environment's, else AWS.
        patience: seconds for which a failing request is retried.

    Raises:
        StorageError: the endpoint is not an http URL, or contains credentials.
    """

    def __init__(self, *, endpoint: str, patience: float = PATIENCE) -> None:
        given = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3", "")
        self._given = _check_endpoint(given or os.environ.get("AWS_ENDPOINT_URL", ""))
        self._patience = patience
        self.answered = False
        """True once the server has sent anything, an error included."""
        self._clients: dict[tuple[int, int], Any] = {}
        self._session: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_clients": {}, "_session": None}

    @property
    def endpoint(self) -> str:
        """The server's URL, or `AWS`."""
        return self._given or "AWS"

    def call(self, operation: str, place: str, **arguments: Any) -> dict[str, Any]:
        """Sends one request, such as `put_object`, with retries.

        Args:
            operation: boto3's name for the request.
            place: `s3://BUCKET/KEY`, for error messages.
            arguments: boto3's arguments.

        Raises:
            StorageError: the last try failed.
        """
        answer: dict[str, Any] = self.retry(
            lambda: getattr(self.boto(), operation)(**arguments), place, operation
        )
        return answer

    def retry(self, function: Callable[[], T], place: str, operation: str) -> T:
        """Calls a function until it succeeds or patience ends; its errors become storage errors."""
        retrying = Retrying(
            retry=retry_if_exception(self._worth_another_try),
            stop=self._has_had_enough,
            wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            reraise=True,
        )
        # A server that has answered may take its time: an upload is long.
        silent = nullcontext() if self.answered else waiting_for(f"the S3 server {self.endpoint}")
        try:
            with silent:
                result: T = retrying(partial(_timed, function, place, operation))
        except s3_errors.FAILURES as error:
            raise self.error(error, place, operation) from None
        self.answered = True
        return result

    def error(self, error: Exception, place: str, operation: str) -> StorageError:
        """The storage error for an error of botocore, without secrets."""
        return s3_errors.storage_error(
            error,
            place=place,
            endpoint=self.endpoint,
            operation=operation,
            secrets=self._secrets(),
        )

    def boto(self, *, tries: int = TRIES) -> Any:
        """Returns boto3's client of this process, created on first use."""
        key = (os.getpid(), tries)
        if key not in self._clients:
            try:
                self._clients[key] = self._make(tries)
            except ValueError as error:  # botocore's answer to an endpoint that is not a URL
                raise StorageError(f"{self.endpoint}: {error}") from None
        return self._clients[key]

    def _make(self, tries: int) -> Any:
        for name in _TALKATIVE:
            logger = logging.getLogger(name)
            logger.setLevel(max(logger.level, logging.INFO))
        custom = bool(self._given) and not _is_aws(self._given)
        # Some servers refuse checksums that they do not know; manifests have hashes anyway.
        checksums = "when_required" if custom else "when_supported"
        session = boto3.Session()
        # boto3 reads only AWS_DEFAULT_REGION; AWS's other tools read AWS_REGION first.
        region = os.environ.get("AWS_REGION") or session.region_name
        self._session = session
        return session.client(
            "s3",
            endpoint_url=self._given or None,
            region_name=region or ("us-east-1" if custom else None),
            config=Config(
                connect_timeout=CONNECT_TIMEOUT,
                read_timeout=READ_TIMEOUT,
                tcp_keepalive=True,
                max_pool_connections=2 * CONCURRENT_PARTS,
                retries={"mode": "standard", "total_max_attempts": tries},
                request_checksum_calculation=checksums,
                response_checksum_validation=checksums,
                s3={"addressing_style": "path"} if custom else None,
            ),
        )

    def _worth_another_try(self, error: BaseException) -> bool:
        if s3_errors.status(error):
            self.answered = True
        return s3_errors.is_transient(error)

    def _has_had_enough(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        short = not self.answered or s3_errors.passes_soon(error)
        patience = min(self._patience, FIRST_PATIENCE) if short else self._patience
        return (state.seconds_since_start or 0.0) >= patience

    def _secrets(self) -> list[str]:
        with contextlib.suppress(boto.BotoCoreError, boto.ClientError, OSError):
            credentials = self._session and self._session.get_credentials()
            if credentials:
                known = credentials.get_frozen_credentials()
                return [text for text in (known.secret_key, known.token, known.access_key) if text]
        return []


def _timed(function: Callable[[], T], place: str, operation: str) -> T:
    """One try of a request, logged with its time for `-v`."""
    begun, outcome = time.monotonic(), "failed"
    try:
        result = function()
        outcome = "done"
    finally:
        seconds = time.monotonic() - begun
        logger.debug("%s %s: %s, %.0f ms", operation, place, outcome, 1000 * seconds)
    return result


def _check_endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise StorageError("The S3 endpoint is not a URL.") from None
    if parts.username or parts.password or parts.query:
        raise StorageError(
            f"The S3 endpoint at {host} is given with credentials.",
            hint="Leave them out of the URL; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    if url and (parts.scheme not in {"http", "https"} or not host):
        raise StorageError(f"The S3 endpoint {url!r} is not http://HOST or https://HOST.")
    return url.rstrip("/")


def _is_aws(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
