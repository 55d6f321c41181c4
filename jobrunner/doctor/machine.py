"""Checks of this machine for local runs, without importing torch."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import urllib.request
from pathlib import Path

from jobrunner.catalog import installed
from jobrunner.doctor.check import Check, stored
from jobrunner.errors import DeviceError, UsageError
from jobrunner.spec.types import is_remote

GIB = 1 << 30
# Two checkpoints of whisper-small, its base model and an hour of speech take about this much.
COMFORTABLE_DISK = 20 * GIB
# Enough for whisper-micro, its data and its checkpoints.
LEAST_DISK = 1 * GIB
SECONDS_TO_ANSWER = 5


def examine(storage: str, endpoint: str = "") -> list[Check]:
    """All checks for runs on this machine.

    Args:
        storage: the storage that a run would use.
        endpoint: endpoint of an S3 storage.
    """
    return [
        _python(),
        _core(),
        _gpu(),
        _processors(),
        _disk(storage),
        _storage(storage, endpoint),
        _state(),
        _hub(),
    ]


def _python() -> Check:
    found = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    return Check(name="Python", verdict="ok", found=found)


def _core() -> Check:
    name = "core packages"
    lacking = installed.missing("core")
    if lacking:
        return Check(
            name=name,
            verdict="fix",
            found=f"missing: {', '.join(lacking)}",
            advice="pip install 'jobrunner[core]'",
        )
    known = len(installed.packages("core"))
    return Check(
        name=name, verdict="ok", found=f"torch {installed.version('torch')}, all {known} installed"
    )


def _gpu() -> Check:
    from jobrunner.backends.local import gpus

    try:
        found = [gpu.product or gpu.id for gpu in gpus.visible()]
    except DeviceError as error:
        return Check(name="GPU", verdict="fix", found=error.message, advice=error.hint)
    if not found:
        return Check(name="GPU", verdict="note", found="none", advice="Submit with --device cpu.")
    if "+cpu" in installed.version("torch"):
        return Check(
            name="GPU",
            verdict="fix",
            found=f"{', '.join(found)}, but torch is built for the CPU only",
            advice="Install a torch with CUDA: https://pytorch.org/get-started/locally",
        )
    return Check(name="GPU", verdict="ok", found=", ".join(found))


def _processors() -> Check:
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    return Check(name="processors", verdict="ok", found=f"{cores} cores, {memory:.0f} GiB memory")


def _disk(storage: str) -> Check:
    folder = _nearest(Path.cwd() if is_remote(storage) else Path(storage))
    free = shutil.disk_usage(folder).free
    found = f"{free / GIB:.0f} GiB free at {folder}"
    if free < LEAST_DISK:
        advice = "Free some space, or name another folder with --storage."
        return Check(name="disk", verdict="fix", found=found, advice=advice)
    if free < COMFORTABLE_DISK:
        advice = "Enough for small models; whisper-small wants 20 GiB."
        return Check(name="disk", verdict="note", found=found, advice=advice)
    return Check(name="disk", verdict="ok", found=found)


def _storage(url: str, endpoint: str) -> Check:
    if not is_remote(url):
        return _folder("storage", Path(url), "Name a folder that you own with --storage.")
    return stored(url, endpoint)


def _state() -> Check:
    from jobrunner.backends.local.folder import state_directory

    try:
        folder = state_directory()
    except UsageError as error:
        return Check(name="state", verdict="fix", found=error.message, advice=error.hint)
    return _folder("state", folder, "Name another folder with JOBRUNNER_STATE.")


def _folder(name: str, folder: Path, advice: str) -> Check:
    """Checks that a folder, or the one it would be created in, takes a file; leaves nothing."""
    try:
        with tempfile.TemporaryFile(dir=_nearest(folder)) as file:
            file.write(b"jobrunner")
    except OSError as error:
        found = f"{folder}: {(error.strerror or str(error)).lower()}"
        return Check(name=name, verdict="fix", found=found, advice=advice)
    return Check(name=name, verdict="ok", found=f"{folder} can be written")


def _nearest(folder: Path) -> Path:
    """The folder, or the closest existing one above it."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _hub() -> Check:
    url = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        if os.environ.get("HF_HUB_OFFLINE") in {"1", "true", "TRUE", "ON", "YES"}:
            raise OSError("HF_HUB_OFFLINE is set")
        request = urllib.request.Request(url, method="HEAD")
        urllib.request.urlopen(request, timeout=SECONDS_TO_ANSWER).close()
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        return Check(
            name="model hub",
            verdict="note",
            found=f"{url} cannot be reached: {reason}",
            advice="Use models and data from folders: --model FOLDER --data folder:FOLDER.",
        )
    return Check(name="model hub", verdict="ok", found=f"{url} answers")
