"""What is checked before anything starts, and the pinning of folders by fingerprints.

Nothing here writes, imports torch or asks the network.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from jobrunner import languages, models
from jobrunner.errors import SpecError
from jobrunner.spec import RunSpec

FOLDER_SOURCE = "folder:"
# Presets whose tokenizer has the token of Cantonese (Whisper large-v3 added it).
_WITH_CANTONESE = frozenset(("whisper-large-v3", "whisper-turbo"))
# Bytes that are hashed at each end of a file of a data folder. Whole files would take minutes
# for a corpus of 100 GB; the size and both ends tell re-encoded or replaced audio apart.
_END = 4096


def preflight(spec: RunSpec, *, backend: str) -> list[str]:
    """Warnings about a spec, one line each, after all checks that need no start.

    Args:
        spec: what would be submitted.
        backend: `local` looks at this machine's folders and GPUs too.

    Raises:
        SpecError: a folder, model, language or storage that cannot be used.
        DeviceError: more GPUs are asked for than this machine shows.
    """
    warnings = _check_language(spec)
    if models.is_folder(spec.model):
        _check_model_folder(spec)
    if spec.data.source.startswith(FOLDER_SOURCE):
        warnings += _check_data_folder(spec)
    if backend == "local":
        _check_storage(spec.storage)
        _check_gpus(spec)
    elif not spec.storage.startswith("s3://"):
        given = f"{spec.storage} is a folder of this machine" if spec.storage else "is not given"
        raise SpecError(
            "storage",
            f"{given}; pods cannot reach it." if spec.storage else f"{given}.",
            hint="Give --storage s3://BUCKET/PREFIX for the cluster, or --local for this machine.",
        )
    return warnings


def resolve(spec: RunSpec) -> RunSpec:
    """The spec with absolute folders, and with folders pinned by their fingerprints.

    Raises:
        SpecError: a folder is missing, or is not what the given revision pins.
    """
    changes: dict[str, object] = {}
    if spec.storage and not spec.storage.startswith("s3://"):
        changes["storage"] = str(_absolute(spec.storage))
    if models.is_folder(spec.model):
        folder = _absolute(spec.model)
        changes["model"] = str(folder)
        changes["model_revision"] = _pinned(
            "model_revision", spec.model_revision, _existing("model", folder), ends_only=False
        )
    if spec.data.source.startswith(FOLDER_SOURCE):
        folder = _absolute(spec.data.source.removeprefix(FOLDER_SOURCE))
        revision = _pinned(
            "data.revision", spec.data.revision, _existing("data.source", folder), ends_only=True
        )
        changes["data"] = spec.data.model_copy(
            update={"source": f"{FOLDER_SOURCE}{folder}", "revision": revision}
        )
    return spec.model_copy(update=changes)


def fingerprint(folder: Path, *, ends_only: bool) -> str:
    """16 hex digits of SHA-256 over names, sizes and contents of a folder's files.

    Args:
        folder: hidden files in it do not count, nor does where it lies.
        ends_only: hashes the first and last 4 KiB of files that are longer, except of tables
            (.csv, .tsv, .jsonl).
    """
    total = hashlib.sha256()
    for path in _files(folder):
        size = path.stat().st_size
        total.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        with path.open("rb") as file:
            table = path.suffix in {".csv", ".tsv", ".jsonl"}
            if ends_only and size > 2 * _END and not table:
                total.update(file.read(_END))
                file.seek(-_END, os.SEEK_END)
                total.update(file.read(_END))
            else:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))


def _absolute(text: str) -> Path:
    return Path(os.path.abspath(Path(text).expanduser()))


def _existing(field: str, folder: Path) -> Path:
    if not folder.is_dir():
        raise SpecError(field, f"{folder} is no folder.", hint="Give the path of one that exists.")
    return folder


def _pinned(field: str, given: str, folder: Path, *, ends_only: bool) -> str:
    try:
        found = fingerprint(folder, ends_only=ends_only)
    except OSError as error:
        raise SpecError(field, f"{error.filename}: {error.strerror}.") from None
    if given not in {"", found}:
        raise SpecError(
            field,
            f"is {given}, and {folder} is {found} now.",
            hint="Bring the old files back, or leave the revision out to start another run.",
        )
    return found


def _check_language(spec: RunSpec) -> list[str]:
    """The model's tokenizer must have a token for the language; so far only presets are known."""
    if spec.model not in models.PRESETS:
        return []
    for field, code in [("lang", spec.lang)] + [
        ("evaluate.languages", code) for code in spec.evaluate.languages
    ]:
        language = languages.find(code)
        if models.PRESETS[spec.model].english_only and code != "en":
            raise SpecError(field, f"{spec.model} knows English only.")
        if not language.whisper:
            raise SpecError(
                field,
                f"Whisper has no token for {language.name} ({code}).",
                hint="`jobrunner languages` shows those that it has.",
            )
        if code == "yue" and spec.model not in _WITH_CANTONESE:
            raise SpecError(
                field,
                f"{spec.model} has no token for Cantonese.",
                hint="Use whisper-large-v3 or whisper-turbo.",
            )
    return []


def _check_model_folder(spec: RunSpec) -> None:
    folder = _existing("model", _absolute(spec.model))
    config = folder / "config.json"
    hint = "It must be a Whisper in Hugging Face form: config.json, *.safetensors, tokenizer."
    try:
        kind = json.loads(config.read_bytes()).get("model_type")
    except FileNotFoundError:
        raise SpecError("model", f"{folder} has no config.json.", hint=hint) from None
    except (OSError, ValueError, AttributeError):
        raise SpecError("model", f"{config} cannot be read as JSON.", hint=hint) from None
    if kind != "whisper":
        raise SpecError("model", f"{folder} is of type {kind!r}, not whisper.", hint=hint)
    if not any(folder.glob("*.safetensors")):
        raise SpecError("model", f"{folder} has no .safetensors file.", hint=hint)


def _check_data_folder(spec: RunSpec) -> list[str]:
    from jobrunner import audiofolder, splits

    root = _existing("data.source", _absolute(spec.data.source.removeprefix(FOLDER_SOURCE)))
    warnings: list[str] = []
    for code in dict.fromkeys((spec.lang, *spec.evaluation_languages)):
        warnings += audiofolder.check(
            root, code, spec.data, own=code == spec.lang, wanted=splits.wanted(spec, code)
        )
    return list(dict.fromkeys(warnings))


def _check_storage(url: str) -> None:
    if url.startswith("s3://"):
        return
    if not url:
        raise SpecError("storage", "is not given.", hint="Name a folder with --storage.")
    folder = _absolute(url)
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not place.is_dir():
        raise SpecError("storage", f"{place} is a file.", hint="Name a folder with --storage.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise SpecError("storage", f"{place} cannot be written.", hint="Name another folder.")


def _check_gpus(spec: RunSpec) -> None:
    wanted = 0 if spec.resources.device == "cpu" else spec.resources.gpus
    if not wanted:
        return
    from jobrunner.backends.local import gpus

    gpus.check(len(gpus.visible()), wanted)
