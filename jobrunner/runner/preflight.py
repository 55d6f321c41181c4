"""What is checked before anything starts, and the pinning of folders by fingerprints.

Nothing here writes, imports torch or asks the network.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from jobrunner import extras
from jobrunner.catalog import languages, models
from jobrunner.corpora import fingerprint, splits
from jobrunner.corpora import folder as audiofolder
from jobrunner.errors import SpecError, UsageError
from jobrunner.spec import RunSpec

FOLDER_SOURCE = "folder:"
# Presets whose tokenizer has the token of Cantonese (Whisper large-v3 added it).
_WITH_CANTONESE = frozenset(("whisper-large-v3", "whisper-turbo"))


def preflight(spec: RunSpec, *, backend: str) -> list[str]:
    """Warnings about a spec, one line each, after all checks that need no start.

    Args:
        spec: what would be submitted.
        backend: `local` looks at this machine's folders and GPUs too.

    Raises:
        UsageError: the core packages are not installed, for a local run.
        SpecError: a folder, model, language or storage that cannot be used.
        DeviceError: more GPUs are asked for than this machine shows.
    """
    if models.is_folder(spec.model):
        _check_model_folder(spec)
    _check_language(spec)
    warnings: list[str] = []
    if spec.data.source.startswith(FOLDER_SOURCE):
        warnings += _check_data_folder(spec)
    if backend == "local":
        _check_packages()
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
            "model_revision", spec.model_revision, _existing("model", folder), fingerprint.of_model
        )
    if spec.data.source.startswith(FOLDER_SOURCE):
        folder = _absolute(spec.data.source.removeprefix(FOLDER_SOURCE))
        # The run's own language alone: another language that is added to the folder later must
        # not make another run of this one.
        place, _ = audiofolder.locate(folder, spec.lang)
        revision = _pinned("data.revision", spec.data.revision, place, fingerprint.of_speech)
        changes["data"] = spec.data.model_copy(
            update={"source": f"{FOLDER_SOURCE}{folder}", "revision": revision}
        )
    return spec.model_copy(update=changes)


def _absolute(text: str) -> Path:
    return Path(os.path.abspath(Path(text).expanduser()))


def _existing(field: str, folder: Path) -> Path:
    if not folder.is_dir():
        raise SpecError(field, f"{folder} is no folder.", hint="Give the path of one that exists.")
    return folder


def _pinned(field: str, given: str, folder: Path, digest: Callable[[Path], str]) -> str:
    try:
        found = digest(folder)
    except OSError as error:
        raise SpecError(field, f"{error.filename}: {error.strerror}.") from None
    if given not in {"", found}:
        raise SpecError(
            field,
            f"is {given}, and {folder} is {found} now.",
            hint="Bring the old files back, or leave the revision out to start another run.",
        )
    return found


def _check_language(spec: RunSpec) -> None:
    """The model must have a token for each language. Hub models are not known before `prepare`."""
    asked = [("lang", spec.lang)]
    asked += [("evaluate.languages", code) for code in spec.evaluate.languages]
    for field, code in asked:
        language = languages.find(code)
        if spec.model in models.PRESETS:
            known = language.whisper and (code != "yue" or spec.model in _WITH_CANTONESE)
            if models.PRESETS[spec.model].english_only and code != "en":
                raise SpecError(field, f"{spec.model} knows English only.")
        elif models.is_folder(spec.model):
            known = _has_token(_absolute(spec.model), f"<|{language.whisper_code or code}|>")
        else:
            return
        if not known:
            hint = "`jobrunner languages` shows which languages Whisper knows."
            if code == "yue":
                hint = (
                    "Whisper has Cantonese since large-v3: use whisper-large-v3 or whisper-turbo."
                )
            problem = f"{spec.model} has no token for {language.name} ({code})."
            raise SpecError(field, problem, hint=hint)


def _has_token(folder: Path, token: str) -> bool:
    """True if the tokenizer has it, or if there is nothing to tell."""
    try:
        generation = json.loads((folder / "generation_config.json").read_bytes())
        tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return True
    # A model of one language has no language tokens and needs none.
    single = isinstance(generation, dict) and not generation.get("is_multilingual", True)
    return single or f'"{token}"' in tokenizer


def _check_model_folder(spec: RunSpec) -> None:
    folder = _existing("model", _absolute(spec.model))
    config, hint = folder / "config.json", models.wanted_form()
    try:
        models.family_in(config.read_bytes(), shown=str(folder))
    except FileNotFoundError:
        raise SpecError("model", f"{folder} has no config.json.", hint=hint) from None
    except OSError as error:
        raise SpecError("model", f"{config}: {error.strerror or error}.", hint=hint) from None
    if not any(folder.glob("*.safetensors")):
        raise SpecError("model", f"{folder} has no .safetensors file.", hint=hint)


def _check_data_folder(spec: RunSpec) -> list[str]:
    root = _existing("data.source", _absolute(spec.data.source.removeprefix(FOLDER_SOURCE)))
    warnings: list[str] = []
    for code in dict.fromkeys((spec.lang, *spec.evaluation_languages)):
        warnings += audiofolder.check(
            root, code, spec.data, own=code == spec.lang, wanted=splits.wanted(spec, code)
        )
    return list(dict.fromkeys(warnings))


def _check_packages() -> None:
    lacking = extras.missing("core")
    if lacking:
        raise UsageError(
            f"This machine lacks what a local run needs: {', '.join(lacking)}.",
            hint="pip install 'jobrunner[core]'",
        )


def _check_storage(url: str) -> None:
    if url.startswith("s3://"):
        return
    if not url:
        raise SpecError("storage", "is not given.", hint="Name a folder with --storage.")
    folder = _absolute(url)
    # os.path.exists is False where the path to it may not be read; Path.exists raises.
    place = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))
    if not place.is_dir():
        raise SpecError("storage", f"{place} is a file.", hint="Name a folder with --storage.")
    if not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        raise SpecError("storage", f"{place} cannot be written.", hint="Name another folder.")


def _check_gpus(spec: RunSpec) -> None:
    wanted = 0 if spec.resources.device == "cpu" else spec.resources.gpus
    if not wanted:
        return
    from jobrunner.backends.local import gpus

    gpus.check(len(gpus.visible()), wanted)
