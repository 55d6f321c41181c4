"""Any valid spec, as a hypothesis strategy drawn from the spec's own JSON schema."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st

from jobrunner.catalog import languages, models
from jobrunner.errors import SpecError
from jobrunner.spec import RunSpec, parse
from jobrunner.spec.types import LARGEST_INT

_CODES = st.sampled_from(sorted(languages.LANGUAGES))
_NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
# What a spec takes for text: neither control characters nor marks that hide others.
_TEXT = st.characters(
    exclude_categories=("Cc", "Cs", "Zl", "Zp"),
    exclude_characters="\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\ufffe\uffff",
)
_STORAGE = st.text(_TEXT, max_size=60).map(lambda text: f"s3://bucket/{text}")
_TRICKY = st.sampled_from(
    ("no", "1e3", "{{ .Values.run }}", "$(id)", "a: b # c", '"', "'", "\\", "---", "ß", "😀", "]}")
)
_QUANTITY = st.from_regex(r"[1-9][0-9]{0,3}(m|[kMGTP]i?|Ki)?", fullmatch=True)
_BYTES = st.from_regex(r"[1-9][0-9]{0,3}([MGTP]i?)", fullmatch=True)
_LABEL = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", fullmatch=True)
_KEY = st.one_of(_LABEL, _LABEL.map(lambda name: f"example.com/{name}"), st.just("1e3"))
_IMAGE = st.from_regex(
    r"([a-z0-9.]{1,9}[a-z0-9](:[0-9]{1,5})?/)?[a-z0-9]+(/[a-z0-9]+)?(:[\w]{1,9})?", fullmatch=True
).filter(str.isascii)
_OBJECT_NAMES = [
    "namespace",
    "image_pull_secret",
    "storage_secret",
    "hub_secret",
    "service_account",
    "priority_class",
    "queue",
]
# Fields whose rules the JSON schema does not tell.
_SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "lang": _CODES,
    "model": st.sampled_from([*models.PRESETS, "owner/name.x", "./a folder/ü"]),
    "storage": _STORAGE,
    "languages": st.lists(_CODES, max_size=3, unique=True),
    **dict.fromkeys(("cpu", "prepare_cpu"), _QUANTITY),
    **dict.fromkeys(("memory", "shared_memory", "prepare_memory", "scratch"), _BYTES),
    "image": _IMAGE,
    "gpu_label": _KEY,
    "gpu_product": st.one_of(st.just(""), st.sampled_from(("no", "1e3")), _LABEL),
    "storage_endpoint": st.sampled_from(("", "http://localhost:9000", "https://s3.example.com")),
    "tolerations": st.lists(_KEY, max_size=3),
    **dict.fromkeys(_OBJECT_NAMES, _NAMES),
}


def _of(schema: dict[str, Any], name: str, whole: dict[str, Any]) -> st.SearchStrategy[Any]:
    if name in _SPECIAL:
        return _SPECIAL[name]
    if "$ref" in schema:
        return _of(whole["$defs"][schema["$ref"].rpartition("/")[2]], name, whole)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema["type"]
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        return st.integers(schema.get("minimum", 0), schema.get("maximum", LARGEST_INT))
    if kind == "number":
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        return st.floats(
            least,
            schema.get("maximum"),
            exclude_min="exclusiveMinimum" in schema,
            allow_nan=False,
            allow_infinity=False,
        )
    if kind == "string":
        return st.one_of(st.text(_TEXT, min_size=schema.get("minLength", 0), max_size=40), _TRICKY)
    if kind == "array":
        return st.lists(_of(schema["items"], "", whole), max_size=3)
    return st.fixed_dictionaries(
        {}, optional={key: _of(part, key, whole) for key, part in schema["properties"].items()}
    )


@st.composite
def specs(draw: st.DrawFn) -> RunSpec:
    """A spec with any fields given, among them what YAML and Helm are known to get wrong."""
    whole = RunSpec.model_json_schema()
    values = draw(_of(whole, "", whole))
    values.setdefault("lang", "el")
    train = values.get("train", {})
    if {"steps", "warmup_steps"} & set(train):
        train["steps"] = max(train.get("steps", 2000), train.get("warmup_steps", 500))
    if {"save_every", "validate_every"} & set(train):
        train["save_every"] = math.gcd(
            train.get("save_every", 250), train.get("validate_every", 250)
        )
    try:
        return parse(values)
    except SpecError:
        # An English model for another language, or a storage prefix that climbs.
        reject()
