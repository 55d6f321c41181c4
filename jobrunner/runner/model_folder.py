"""Checks of a model's folder from the headers of its files, without torch or safetensors.

https://huggingface.co/docs/safetensors describes the format: the length of the header in 8 bytes,
the header as JSON, the data.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from jobrunner.catalog import models
from jobrunner.catalog.dimensions import DIMENSIONS, Dimensions, of_config
from jobrunner.catalog.models import Family
from jobrunner.errors import SpecError

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# What `git clone` leaves of a large file when git-lfs is not installed.
POINTER = b"version https://git-lfs.github.com/"
# Bytes; the format's own limit for a header. The largest file of a tokenizer has 5 MB.
LONGEST_HEADER = LARGEST_TEXT = 100_000_000
# Bytes of an element. Other types are not compared with their shape.
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1}

Shapes = dict[str, list[int]]


def check(folder: Path) -> None:
    """Checks that a folder has a model that can be loaded, as far as headers show it.

    Raises:
        SpecError: a file is missing, is a Git LFS pointer, is cut off, or is impossible.
    """
    names = _names(folder)
    if "config.json" not in names:
        raise SpecError("model", f"{folder} has no config.json.", hint=models.wanted_form())
    family = models.family_in(_text(folder / "config.json"), shown=str(folder))
    for group in family.files:
        if not names & set(group):
            hint = "Copy it from the model that this one was made from."
            raise SpecError("model", f"{folder} has no {' or '.join(group)}.", hint=hint)
    texts = sorted(name for name in names if name.endswith((".json", ".txt", ".model")))
    contents = {name: _parsed(folder / name) for name in texts}
    config = contents["config.json"]
    _check_numbers(folder / "config.json", config, family)
    shapes: Shapes = {}
    for path in _weights(folder, names, contents.get(INDEX)):
        shapes |= _tensors(path)
    if missing := sorted(_mapped(contents.get(INDEX), names) - shapes.keys()):
        raise SpecError("model", f"{folder}: the weights lack {missing[0]}.", hint="Copy it again.")
    _check_embedding(folder, config, family, shapes)


def dimensions(model: str) -> Dimensions | None:
    """Dimensions of a preset, or of a folder that was checked; None if they are not known."""
    if not models.is_folder(model):
        return DIMENSIONS.get(model)
    try:
        return of_config(json.loads((Path(model).expanduser() / "config.json").read_bytes()))
    except KeyError:
        return None


def _names(folder: Path) -> set[str]:
    """Names of the files at the top. All files, in folders too, can be opened without waiting."""
    names = set()
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(place) / name for name in folders):
            if path.is_symlink() and Path(place).resolve().is_relative_to(path.resolve()):
                _refuse(path, "is a link to a folder that it is in", hint="Remove it.")
        for path in (Path(place) / name for name in files if not name.startswith(".")):
            if path.exists() and not path.is_file():
                _refuse(path, "is not a file that can be read", hint="Remove it.")
            if path.parent == folder:
                names.add(path.name)
    return names


def _unreadable(error: OSError) -> NoReturn:
    raise SpecError("model", f"{error.filename}: {error.strerror or error}.") from None


def _text(path: Path) -> bytes:
    """The content of a file that is not weights."""
    head = _head(path)
    if path.stat().st_size > LARGEST_TEXT:
        _refuse(path, "is far too large for such a file")
    return head + _read(path, LARGEST_TEXT, start=len(head))


def _head(path: Path) -> bytes:
    head = _read(path, len(POINTER))
    if head == POINTER:
        hint = "Run `git lfs install` and `git lfs pull` in the model's folder."
        _refuse(path, "is a Git LFS pointer, not the file itself", hint=hint)
    if not head:
        _refuse(path, "is empty")
    return head


def _read(path: Path, count: int, *, start: int = 0) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(count)
    except OSError as error:
        _refuse(path, f"cannot be read: {(error.strerror or str(error)).lower()}")


def _parsed(path: Path) -> Any:
    """The content of a JSON file; None for other texts, of which only the head is checked."""
    data = _text(path)
    if path.suffix != ".json":
        return None
    try:
        content = json.loads(data, parse_constant=_constant)
    except RecursionError:
        _refuse(path, "is nested too deeply")
    except ValueError as error:
        number = isinstance(error, _NoNumberError)
        _refuse(path, str(error) if number else "cannot be read as JSON; it may be cut off")
    if not isinstance(content, dict | list):
        _refuse(path, "cannot be read as JSON with fields")
    return content


class _NoNumberError(ValueError):
    """A value that JSON does not have."""


def _constant(text: str) -> NoReturn:
    raise _NoNumberError(f"has {text}, which is not a number")


def _check_numbers(path: Path, config: dict[str, Any], family: Family) -> None:
    for name in family.sizes:
        value = config.get(name, 1)
        if type(value) is not int or value < 1:
            _refuse(path, f"{name} is {json.dumps(value)[:40]}, not a whole number above 0")
    for width, heads in family.heads:
        if width in config and heads in config and config[width] % config[heads]:
            problem = f"{width} {config[width]} is not a multiple of {heads} {config[heads]}"
            _refuse(path, problem)


def _weights(folder: Path, names: set[str], index: Any) -> Iterable[Path]:
    """The files of the weights, chosen as the hub's reader does: one file, or those of an index."""
    if WHOLE in names:
        return [folder / WHOLE]
    parts = sorted(set(_map(folder, index).values())) if INDEX in names else []
    if not parts:
        raise SpecError("model", f"{folder} has no .safetensors file.", hint=_hint(names))
    for part in parts:
        if not re.fullmatch(r"[\w.-]+", part) or part not in names:
            hint = "Copy the file too."
            raise SpecError(
                "model", f"{folder} has no {part[:80]}, which {INDEX} names.", hint=hint
            )
    return [folder / part for part in parts]


def _hint(names: set[str]) -> str:
    if any(name.startswith("pytorch_model") for name in names):
        return (
            "It has pytorch_model.bin only: load it in transformers, and save it with "
            "save_pretrained."
        )
    others = sorted(name for name in names if name.endswith(".safetensors"))
    return f"Rename {others[0]} to {WHOLE}." if len(others) == 1 else models.wanted_form()


def _map(folder: Path, index: Any) -> dict[str, str]:
    found = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(found, dict) or not all(isinstance(part, str) for part in found.values()):
        _refuse(folder / INDEX, "has no weight_map")
    return found


def _mapped(index: Any, names: set[str]) -> set[str]:
    """The tensors that an index promises, if the weights have one."""
    return set() if WHOLE in names or not index else set(index["weight_map"])


def _tensors(path: Path) -> Shapes:
    """Shapes of the tensors of a file, whose size is what its header says."""
    head, size = _head(path), path.stat().st_size
    length = int.from_bytes(head[:8], "little")
    if len(head) < 9 or head[8:9] != b"{" or length > LONGEST_HEADER:
        _refuse(path, "is not safetensors, or is damaged")
    header = _read(path, length, start=8)
    if len(header) < length:
        _refuse(path, f"is cut off after {_size(size)}")
    try:
        entries = json.loads(header)
        entries.pop("__metadata__", None)
        shapes = {name: [int(n) for n in entry["shape"]] for name, entry in entries.items()}
        spans = [entry["data_offsets"] for entry in entries.values()]
        ends = [int(end) for start, end in spans if 0 <= int(start) <= int(end)]
        whole = len(ends) == len(spans) and all(map(_fits, entries.values()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        whole, ends, shapes = False, [], {}
    if not whole or not ends:
        _refuse(path, "is damaged: its header is not that of safetensors")
    expected = 8 + length + max(ends)
    if size < expected:
        _refuse(path, f"is cut off: {_size(size)} of {_size(expected)} are there")
    if size > expected:
        _refuse(path, f"is damaged: it has {_size(size)}, {_size(size - expected)} too many")
    return shapes


def _fits(entry: dict[str, Any]) -> bool:
    start, end = entry["data_offsets"]
    each = BYTES.get(entry["dtype"])
    return each is None or math.prod(entry["shape"]) * each == end - start


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count:,} bytes"


def _check_embedding(folder: Path, config: dict[str, Any], family: Family, shapes: Shapes) -> None:
    if family.embedding is None:
        return
    tensor, *fields = family.embedding
    wanted = [config.get(field) for field in fields]
    if tensor in shapes and None not in wanted and shapes[tensor] != wanted:
        problem = (
            f"config.json does not fit the weights: {' x '.join(fields)} is {_product(wanted)}"
        )
        hint = "Take both from the same model."
        raise SpecError(
            "model", f"{folder}: {problem}, and they have {_product(shapes[tensor])}.", hint=hint
        )


def _product(numbers: Iterable[object]) -> str:
    return " x ".join(map(str, numbers))


def _refuse(path: Path, problem: str, *, hint: str = "Copy it again.") -> NoReturn:
    raise SpecError("model", f"{path} {problem}.", hint=hint)
