"""Errors of S3 in one clear line: what failed, where, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from jobrunner.errors import NotFound, StorageError, StorageFull

# Text from a server is cut to this many characters.
LONGEST_TEXT = 200
_RENEW = "Renew them and submit the run again; it continues where it stopped."
_KEYS = (
    "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the Secret that "
    "cluster.storage_secret names."
)

# Error codes of S3 and compatible servers: the message, and the hint.
_MESSAGES = {
    "NoSuchBucket": (
        "The bucket of {place} does not exist at {endpoint}.",
        "Create it, or correct --storage or the endpoint.",
    ),
    "AccessDenied": (
        "Access to {place} is denied ({operation}).",
        "The credentials need to read, write, list and delete below this prefix.",
    ),
    "ExpiredToken": ("The credentials for {place} have expired.", _RENEW),
    "InvalidAccessKeyId": ("{endpoint} does not know the access key for {place}.", _KEYS),
    "SignatureDoesNotMatch": ("{endpoint} refuses the credentials for {place}.", _KEYS),
    "RequestTimeTooSkewed": (
        "{endpoint} refuses requests for {place}: this machine's clock is wrong.",
        "Set the clock.",
    ),
    "PermanentRedirect": (
        "The bucket of {place} is in another region.",
        "Set AWS_REGION to the bucket's region.",
    ),
    "NotImplemented": (
        "{endpoint} cannot do what {place} needs ({operation}).",
        "Use a server with conditional writes (If-None-Match) and multipart uploads.",
    ),
}
_ALIASES = {
    "Forbidden": "AccessDenied",
    "403": "AccessDenied",
    "AllAccessDisabled": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "TokenRefreshRequired": "ExpiredToken",
    "RequestExpired": "ExpiredToken",
    "InvalidToken": "SignatureDoesNotMatch",
    "InvalidClientTokenId": "InvalidAccessKeyId",
    "XAdminUserNotFound": "InvalidAccessKeyId",
    "AuthorizationHeaderMalformed": "PermanentRedirect",
    "IllegalLocationConstraintException": "PermanentRedirect",
    "301": "PermanentRedirect",
    "501": "NotImplemented",
}
_FULL = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"}
_MISSING = {"NoSuchKey", "NoSuchVersion", "404"}
# Refusals that a retry can overcome: the server was busy, or the body was damaged in transit.
_PASSING = {
    "ConditionalRequestConflict",
    "OperationAborted",
    "SlowDown",
    "RequestTimeout",
    "IncompleteBody",
    "BadDigest",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
    "NoSuchUpload",
    "408",
    "429",
}
# Servers that keep objects as files remove a folder with its last object. A write that needs the
# folder at that moment is refused with this code. A key that is a folder of others is always
# refused with it.
_RACES = {"ExistingObjectIsDirectory"}
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
)
_SSO = (boto.SSOError, boto.TokenRetrievalError, boto.UnauthorizedSSOTokenError)
# A broken connection, an answer that is not S3's, a body that does not match its checksum.
_TRANSIENT = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.FlexibleChecksumError,
    ResponseParserError,
)


class BodyCutError(Exception):
    """A body ended too early."""


# The errors to give to `storage_error`: all of botocore's, and ours for a body that ended early.
FAILURES = (boto.BotoCoreError, boto.ClientError, ResponseParserError, BodyCutError)


def code(error: BaseException) -> str:
    """The error code that the server sent; empty if it sent none."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def status(error: BaseException) -> int:
    """The HTTP status; 0 if there was no answer."""
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _answer(error: BaseException) -> dict[str, Any]:
    return getattr(error, "response", None) or {}


def is_transient(error: BaseException) -> bool:
    """True if the same request may succeed a moment later."""
    if isinstance(error, (boto.SSLError, boto.ProxyConnectionError)):
        return False
    if isinstance(error, (*_TRANSIENT, BodyCutError)):
        return True
    if code(error) in _FULL or status(error) in {501, 507}:
        return False
    return status(error) >= 500 or code(error) in _PASSING | _RACES


def passes_soon(error: BaseException | None) -> bool:
    """True if the cause of the refusal passes within moments, or never."""
    return error is not None and code(error) in _RACES


def storage_error(
    error: Exception, *, place: str, endpoint: str, operation: str, secrets: Iterable[str] = ()
) -> StorageError:
    """Turns any of `FAILURES` into a storage error of one line.

    Args:
        error: the error that botocore raised.
        place: `s3://BUCKET/KEY`.
        endpoint: the server's URL, without credentials.
        operation: the request that failed, such as `put_object`.
        secrets: texts to remove from anything that the server sent.
    """
    where = {"place": place, "endpoint": endpoint, "operation": operation}
    error_code = code(error)
    if error_code in _MISSING:
        return NotFound(f"{place} is not in storage.")
    if error_code in _FULL or status(error) == 507:
        return StorageFull(
            f"No room left to write {place}.",
            hint="Free some space and submit the run again; it continues where it stopped.",
        )
    known = _MESSAGES.get(_ALIASES.get(error_code, error_code))
    known = known or _MESSAGES.get(_ALIASES.get(str(status(error)), ""))
    if known:
        message, hint = known
        return StorageError(message.format(**where), hint=hint)
    if error_code:
        text = _plain(str(_answer(error)["Error"].get("Message", "")), secrets)
        answer = f"{error_code}, {text}" if text and text != error_code else error_code
        later = "Submit the run again later; it continues where it stopped."
        hint = later if status(error) > 499 else ""
        return StorageError(f"{place}: {endpoint} answered {answer.rstrip('.')}.", hint=hint)
    return _without_answer(error, place=place, endpoint=endpoint, secrets=secrets)


def _without_answer(
    error: Exception, *, place: str, endpoint: str, secrets: Iterable[str]
) -> StorageError:
    if isinstance(error, _SSO):
        return StorageError(f"The login for {place} has expired.", hint="Run `aws sso login`.")
    if isinstance(error, _NO_CREDENTIALS):
        return StorageError(
            f"There are no usable credentials for {place}.",
            hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; "
            "on a cluster, cluster.storage_secret names a Secret with them.",
        )
    if isinstance(error, boto.SSLError):
        return StorageError(
            f"The certificate of {endpoint} is not trusted.",
            hint="Name the authority's certificate with AWS_CA_BUNDLE.",
        )
    if isinstance(error, (*_TRANSIENT, BodyCutError)):
        return StorageError(
            f"{endpoint} does not answer, or not to the end ({type(error).__name__}, {place}).",
            hint="Check the endpoint (cluster.storage_endpoint, AWS_ENDPOINT_URL_S3) and the "
            "network.",
        )
    text = _plain(str(error), secrets).rstrip(".")
    return StorageError(f"{place} cannot be used: {text}.")


def _plain(text: str, secrets: Iterable[str]) -> str:
    """One line of printable text without secrets, cut to a readable length."""
    for secret in secrets:
        for form in (secret, quote(secret, safe=""), quote(secret)):
            text = text.replace(form, "***")
    text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())[:LONGEST_TEXT]
