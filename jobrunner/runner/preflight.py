"""Checks before anything starts, and the pinning of folders by fingerprints.

Nothing here leaves a file, imports torch or uses the network.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jobrunner.catalog import installed, languages, models, rates
from jobrunner.catalog.backends import BackendFacts
from jobrunner.corpora import fingerprint, light_reader
from jobrunner.corpora.counts import Checked, Counts
from jobrunner.errors import SpecError, UsageError
from jobrunner.runner import model_folder
from jobrunner.spec import RunSpec, weights
from jobrunner.spec.types import is_remote

# Times the usual learning rate.
SUSPICIOUS = 100


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Findings of the checks before a start."""

    warnings: tuple[str, ...] = ()
    """One line each."""
    speech: tuple[Counts, ...] = ()
    """The rows and clips of each language, if the speech is on this machine."""


def preflight(spec: RunSpec, backend: BackendFacts) -> Findings:
    """Does all checks that are possible before a start.

    Args:
        spec: the spec to check.
        backend: facts about its backend; a local one needs packages, storage and GPUs here.

    Raises:
        UsageError: for a local run, the core packages are not installed, or JOBRUNNER_SCRATCH
            cannot be used.
        SpecError: a folder, model, language or storage cannot be used.
        DeviceError: a local run requests more GPUs than this machine shows.
    """
    if models.is_folder(spec.model):
        model_folder.check(_existing("model", _absolute(spec.model)))
        _check_language(spec)
        _check_weights(spec)
    checked = _check_data(spec)
    if backend.is_here:
        _check_packages()
        _check_optimiser(spec)
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
    lines = [*_warn_of_rate(spec), *(line for each in checked for line in each.warnings)]
    return Findings(
        warnings=tuple(dict.fromkeys(lines)), speech=tuple(each.counts for each in checked)
    )


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


def _check_weights(spec: RunSpec) -> None:
    """Checks that the options freeze, and adapt, weights that a folder's model has."""
    place = _absolute(spec.model)
    config = (place / "config.json").read_bytes()
    family = models.family_in(config, shown=str(place))
    if family.shapes and spec.task == "fine-tune":
        # A config that lacks a size leaves the check to training.
        with suppress(KeyError):
            weights.count(json.loads(config), spec.train, family)


def _warn_of_rate(spec: RunSpec) -> list[str]:
    """A warning of a learning rate with which few models learn."""
    preset = models.PRESETS.get(spec.model)
    lora = bool(spec.train.lora_rank)
    of_size = rates.of_folder(_absolute(spec.model)) if models.is_folder(spec.model) else None
    usual = models.learning_rate(spec.model, lora=lora)
    if of_size:
        usual = models.for_adapters(of_size) if lora else of_size
    others = "a model of this size" if of_size else "most models"
    name, rate = preset.name if preset else others, spec.train.learning_rate
    if spec.task == "evaluate" or rate <= SUSPICIOUS * usual:
        return []
    times = f"{rate / usual:,.0f} times the {usual:g} that suits {name}"
    return [f"train.learning_rate is {rate:g}, {times}; training may diverge."]


def _check_data(spec: RunSpec) -> list[Checked]:
    readers = [(light_reader(source), source) for source in spec.data.sources]
    return [
        reader.checked(source, spec, code)
        for reader, source in readers
        if reader
        for code in spec.languages
    ]


def _check_packages() -> None:
    lacking = installed.missing("core")
    if lacking:
        raise UsageError(
            f"This machine lacks packages that a local run needs: {', '.join(lacking)}.",
            hint="pip install 'jobrunner[core]'",
        )


def _check_optimiser(spec: RunSpec) -> None:
    if spec.train.optimiser == "adamw8bit" and not installed.version("bitsandbytes"):
        raise SpecError(
            "train.optimiser",
            "adamw8bit needs the package bitsandbytes, which this machine lacks.",
            hint="pip install bitsandbytes",
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
