"""Types of the spec's values, each with its check."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
)
from pydantic_core import core_schema

from jobrunner.catalog import languages
from jobrunner.errors import SpecError

# The largest whole number that survives JSON, YAML and Helm's float64 unchanged.
LARGEST_INT = 2**53 - 1

# Control characters, lone surrogates, line and paragraph separators: YAML readers refuse some of
# them and fold others into spaces.
_UNPRINTABLE = frozenset(("Cc", "Cs", "Zl", "Zp"))
# Marks that change the direction of text, the byte order mark, and two code points that are not
# characters.
_HIDDEN = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\ufffe\uffff"


def _plain(text: str) -> str:
    if any(unicodedata.category(c) in _UNPRINTABLE or c in _HIDDEN for c in text):
        raise ValueError("has control characters")
    return text


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a number that can be used")
    return value


# The context of a validation that reads a record.
RECORDED = {"recorded": True}


class _AtMost:
    """The largest value of a field in a new spec. Records of older clients may have more.

    It is checked last, so that infinity and NaN have their own words.

    Args:
        limit: the largest value.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> Any:
        return core_schema.with_info_after_validator_function(self._check, handler(kind))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        return {**handler(schema), "maximum": self._limit}

    def _check(self, value: float, about: ValidationInfo) -> float:
        if value > self._limit and about.context != RECORDED:
            raise ValueError(f"{value:g} is more than {self._limit:g}, the most that makes sense")
        return value


def _quantity(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]*(m|[kMGTP]i?|Ki)?", text):
        raise ValueError(f"{text!r} is not a Kubernetes quantity such as 16Gi or 4")
    return text


def _bytes(text: str) -> str:
    number, unit = re.findall(r"([0-9]+)(.*)", _quantity(text))[0]
    # Below a megabyte neither a container nor a volume starts: a unit was forgotten.
    if unit == "m" or (unit in _SMALL_UNITS and int(number) * _SMALL_UNITS[unit] < 1_000_000):
        raise ValueError(f"{text!r} is too little; write bytes with a unit, such as 16Gi or 500Mi")
    return text


_SMALL_UNITS = {"": 1, "k": 1000, "Ki": 1024}
# Kubernetes' qualified name: a DNS name and a slash, which may be left out, and a name.
_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DNS = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"


def _label_key(text: str) -> str:
    domain, _, _ = text.rpartition("/")
    if not re.fullmatch(rf"({_DNS}/)?{_NAME}", text) or len(domain) > 253:
        raise ValueError(f"{text!r} is not a Kubernetes label such as nvidia.com/gpu.product")
    return text


def _label_value(text: str) -> str:
    if text and not re.fullmatch(_NAME, text):
        raise ValueError(f"{text!r} is not a value of a Kubernetes label, such as NVIDIA-L4")
    return text


def _image(text: str) -> str:
    part = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
    host = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?"
    tag = r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-fA-F]+)?"
    if not re.fullmatch(rf"({host}/)?{part}(/{part})*{tag}", text):
        raise ValueError(f"{text!r} is not an image such as registry.example/jobrunner:1.0")
    return text


def _endpoint(text: str) -> str:
    host = r"([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?"
    if text and not re.fullmatch(rf"https?://{host}/?", text):
        raise ValueError(f"{text!r} is not a URL such as https://s3.example:9000")
    return text


def _object_name(text: str) -> str:
    if text and not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", text):
        raise ValueError(f"{text!r} is not lower-case letters, digits and dashes, 63 at most")
    return text


def _language(text: str) -> str:
    try:
        return languages.find(text).code
    except SpecError as error:
        # A ValueError, so that pydantic adds the field; `parsing.py` reads the hint from its cause.
        raise ValueError(error.message) from error


def is_remote(url: str) -> bool:
    """True for storage that every machine can reach; False for a folder of this machine."""
    return url.startswith("s3://")


def slug(text: str, limit: int) -> str:
    """`text` as lower-case letters, digits and dashes, at most `limit` characters."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:limit].strip("-") or "x"


# Labels of letters, digits and dashes, joined by single dots.
_BUCKET = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"


def storage_url(url: str) -> str:
    """The URL without a trailing slash, or the folder without `file://`."""
    if is_remote(url):
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not bucket:
            raise ValueError(f"{url!r} has no bucket; write s3://BUCKET/PREFIX")
        address = re.fullmatch(r"[0-9]+(\.[0-9]+){3}", bucket)
        if not re.fullmatch(_BUCKET, bucket) or len(bucket) not in range(3, 64) or address:
            raise ValueError(f"{bucket!r} is not a bucket name")
        if ".." in prefix.split("/"):
            raise ValueError(f"{url!r} climbs out of its prefix")
        return url.rstrip("/")
    if problem := _not_a_folder(url):
        raise ValueError(f"{url!r} {problem}")
    return url.removeprefix("file://")


# What begins as a URL does, with the slashes wrong.
_URL = re.compile(r"(s3[an]?|gs|gcs|az|abfss?|hdfs|https?|ftp|file):|s3//", re.IGNORECASE)


def _not_a_folder(text: str) -> str:
    """Names the mistake in a text that is written as a folder and was meant as something else."""
    if re.match(r"[A-Za-z]:[\\/]|\\\\", text):
        return "is a path of Windows; write it as this system names it, such as /mnt/c/data"
    if re.match(r"\$[A-Za-z_{(]", text):
        return "has a variable that no shell replaced; write the path itself, or ~ for your home"
    if re.match(r"s3[an]?:|s3//", text, re.IGNORECASE):
        rest = re.sub(r"^s3[an]?:?/*", "", text, flags=re.IGNORECASE)
        return f"is not a URL; write s3://{rest or 'BUCKET/PREFIX'}"
    if text.startswith("file://"):
        return "" if text.startswith("file:///") else "names no folder; write file:///PATH or PATH"
    if "://" in text or _URL.match(text):
        return "is neither s3://BUCKET/PREFIX nor a folder"
    return ""


Text = Annotated[str, Field(max_length=1000), AfterValidator(_plain)]
Patterns = tuple[Annotated[Text, Field(min_length=1)], ...]
Quantity = Annotated[str, AfterValidator(_quantity)]
Bytes = Annotated[str, AfterValidator(_bytes)]
LabelKey = Annotated[
    str, Field(min_length=1, max_length=317), AfterValidator(_plain), AfterValidator(_label_key)
]
LabelValue = Annotated[
    str, Field(max_length=1000), AfterValidator(_plain), AfterValidator(_label_value)
]
Image = Annotated[
    str, Field(min_length=1, max_length=1000), AfterValidator(_plain), AfterValidator(_image)
]
Endpoint = Annotated[str, Field(max_length=1000), AfterValidator(_plain), AfterValidator(_endpoint)]
ObjectName = Annotated[str, AfterValidator(_object_name)]
Count = Annotated[int, Field(ge=1, le=LARGEST_INT)]
CountOrZero = Annotated[int, Field(ge=0, le=LARGEST_INT)]
Positive = Annotated[float, Field(gt=0), AfterValidator(_finite)]
NotNegative = Annotated[float, Field(ge=0), AfterValidator(_finite)]
Ratio = Annotated[float, Field(ge=0, le=1), AfterValidator(_finite)]
# Whisper was trained from scratch with 0.0015 and less; with 0.1, nothing learns.
LearningRate = Annotated[NotNegative, _AtMost(0.1)]
# After a thousand passes, a model knows its training set by heart.
Epochs = Annotated[NotNegative, _AtMost(1000)]
# With more, hardly an activation or a sentence is left to learn from.
Dropout = Annotated[Ratio, _AtMost(0.9)]
Holdout = Annotated[Ratio, _AtMost(0.5)]
# A day of audio, 135 times the default of a step.
AudioSeconds = Annotated[Positive, _AtMost(86_400)]
# A process needs 0.5 GB, and no node has more cores or GPUs than these.
Workers = Annotated[CountOrZero, _AtMost(256)]
Gpus = Annotated[CountOrZero, _AtMost(64)]
LanguageCode = Annotated[str, AfterValidator(_language)]


class Section(BaseModel):
    """A part of the spec: frozen, strict, closed.

    A typo or a wrong type is an error, never a silent default.
    """

    # In the chart's schema every field is required: the values of a run are complete.
    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        json_schema_serialization_defaults_required=True,
    )
