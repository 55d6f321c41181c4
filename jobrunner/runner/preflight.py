"""Checks before anything starts, and the pinning of folders by fingerprints.

Nothing here leaves a file, imports torch or uses the network.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from jobrunner import installed
from jobrunner.catalog import languages, models
from jobrunner.catalog.backends import BackendFacts
from jobrunner.corpora import fingerprint, light_reader
from jobrunner.errors import SpecError, UsageError
from jobrunner.runner import model_folder
from jobrunner.spec import RunSpec
from jobrunner.spec.types import is_remote

# Beyond these nothing is learned. The most that Whisper was ever trained with is 1.5e-3.
LARGEST_RATE, LARGEST_DROPOUT, LARGEST_HOLDOUT = 0.5, 0.95, 0.95
# Times the usual learning rate.
SUSPICIOUS = 100


def preflight(spec: RunSpec, backend: BackendFacts) -> list[str]:
    """Does all checks that are possible before a start; returns warnings, one line each.

    Args:
        spec: the spec to check.
        backend: facts about its backend; a local one needs packages, storage and GPUs here.

    Raises:
        UsageError: the core packages are not installed, for a local run.
        SpecError: a folder, model, language or storage cannot be used.
        DeviceError: a local run requests more GPUs than this machine shows.
    """
    if models.is_folder(spec.model):
        model_folder.check(_existing("model", _absolute(spec.model)))
        _check_language(spec)
    warnings = [*_check_training(spec), *_check_data(spec)]
    if backend.is_here:
        _check_packages()
        _check_storage(spec.storage)
        _check_own_folders()
        _check_gpus(spec)
    elif not is_remote(spec.storage):
        given = f"{spec.storage} is a folder on this machine" if spec.storage else "is not given"
        raise SpecError(
            "storage",
            f"{given}; pods cannot reach it." if spec.storage else f"{given}.",
            hint="Give --storage s3://BUCKET/PREFIX for the cluster, or --local for this machine.",
        )
    return warnings


def resolve(spec: RunSpec) -> RunSpec:
    """The spec with absolute folders, and with folders pinned by their fingerprints.

    Raises:
        SpecError: a folder is missing, or does not match the given revision.
    """
    changes: dict[str, object] = {}
    if spec.storage and not is_remote(spec.storage):
        changes["storage"] = str(_absolute(spec.storage))
    if models.is_folder(spec.model):
        place = _existing("model", _absolute(spec.model))
        changes["model"] = str(place)
        changes["model_revision"] = fingerprint.pin(
            "model_revision", spec.model_revision, place, fingerprint.of_model
        )
    sources = [(source, light_reader(source)) for source in spec.data.sources]
    pinned = tuple(reader.pinned(source, spec) if reader else source for source, reader in sources)
    changes["data"] = spec.data.model_copy(update={"sources": pinned})
    return spec.model_copy(update=changes)


def _absolute(text: str) -> Path:
    return Path(os.path.abspath(Path(text).expanduser()))


def _existing(field: str, place: Path) -> Path:
    if not place.is_dir():
        raise SpecError(
            field, f"{place} is not a folder.", hint="Give the path of an existing one."
        )
    return place


def _check_language(spec: RunSpec) -> None:
    """Checks that a folder's tokenizer has a token for each language.

    Presets were checked with the spec; hub models are not known before `prepare`.
    """
    asked = [("lang", spec.lang)]
    asked += [("evaluate.languages", code) for code in spec.evaluate.languages]
    for field, code in asked:
        token = f"<|{languages.find(code).whisper_code or code}|>"
        if not _has_token(_absolute(spec.model), token):
            raise models.unknown_language(spec.model, code, field=field)


def _has_token(place: Path, token: str) -> bool:
    """True if the tokenizer has the token, or if that cannot be determined."""
    try:
        generation = json.loads((place / "generation_config.json").read_bytes())
        tokenizer = (place / "tokenizer.json").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return True
    # A model of one language has no language tokens and needs none.
    single = isinstance(generation, dict) and not generation.get("is_multilingual", True)
    return single or f'"{token}"' in tokenizer


def _check_training(spec: RunSpec) -> list[str]:
    """Refuses options with which no model can learn; warns of those with which few do."""
    rate, train = spec.train.learning_rate, spec.train
    preset = models.PRESETS.get(spec.model)
    usual = preset.learning_rate if preset else models.DEFAULT_LEARNING_RATE
    name = preset.name if preset else "most models"
    if spec.task == "evaluate":
        return []
    if rate > LARGEST_RATE:
        hint = f"Leave it out; {usual:g} suits {name}."
        raise SpecError("train.learning_rate", f"with {rate:g} every model diverges.", hint=hint)
    if train.dropout > LARGEST_DROPOUT:
        problem = f"{train.dropout:g} drops nearly all that the model computes."
        raise SpecError("train.dropout", problem, hint="0.1 is usual.")
    if spec.data.holdout > LARGEST_HOLDOUT:
        problem = f"{spec.data.holdout:g} leaves nearly nothing to train on."
        raise SpecError("data.holdout", problem, hint="0.05 is usual.")
    if rate > SUSPICIOUS * usual:
        times = f"{rate / usual:,.0f} times the {usual:g} that suits {name}"
        return [f"train.learning_rate is {rate:g}, {times}; training may diverge."]
    return []


def _check_data(spec: RunSpec) -> list[str]:
    warnings: list[str] = []
    for source in spec.data.sources:
        reader = light_reader(source)
        for code in spec.languages if reader else ():
            warnings += reader.warnings(source, spec, code) if reader else []
    return list(dict.fromkeys(warnings))


def _check_packages() -> None:
    lacking = installed.missing("core")
    if lacking:
        raise UsageError(
            f"This machine lacks packages that a local run needs: {', '.join(lacking)}.",
            hint="pip install 'jobrunner[core]'",
        )


def _check_storage(url: str) -> None:
    if is_remote(url):
        return
    if not url:
        raise SpecError("storage", "is not given.", hint="Name a folder with --storage.")
    from jobrunner.backends.local import folder

    place = folder.nearest(_absolute(url))
    if not place.is_dir():
        raise SpecError("storage", f"{place} is a file.", hint="Name a folder with --storage.")
    if not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        raise SpecError("storage", f"{place} cannot be written.", hint="Name another folder.")


def _check_own_folders() -> None:
    from jobrunner.backends.local import folder

    folder.check_folders()


def _check_gpus(spec: RunSpec) -> None:
    wanted = spec.resources.wanted_gpus
    if not wanted:
        return
    from jobrunner.backends.local import gpus

    gpus.check(len(gpus.visible()), wanted)
