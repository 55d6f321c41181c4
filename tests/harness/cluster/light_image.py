"""A small image with the project and what its pods need without a model: quick to make and load."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

from tests.harness.paths import CLUSTER, ROOT

BASE = "localhost/python-base:bookworm"
WANTED = ("boto3", "click", "pydantic", "platformdirs", "prometheus-client", "tenacity")
PLACE = "/usr/local/lib/python3.11/dist-packages"


def make_light_image() -> str:
    """The name of the image, which is on the node of the test cluster now."""
    packages = _closure(WANTED)
    name = f"localhost/jobrunner-light:{_digest(packages)}"
    listed = subprocess.run(["buildah", "images", "-q", name], capture_output=True, check=False)
    if listed.returncode:
        _build(name, packages)
        subprocess.run([CLUSTER, "load", name], check=True)
    return name


def _closure(names: tuple[str, ...]) -> dict[str, metadata.Distribution]:
    """The installed packages of these names and all that they require."""
    found: dict[str, metadata.Distribution] = {}
    left = list(names)
    while left:
        name = left.pop()
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        for line in found[name].requires or ():
            if "extra ==" not in line:
                each = re.split(r"[^A-Za-z0-9._-]", line)[0]
                try:
                    metadata.distribution(each)
                except metadata.PackageNotFoundError:
                    continue  # for another platform
                left.append(each)
    return found


def _digest(packages: dict[str, metadata.Distribution]) -> str:
    digest = hashlib.sha256(repr(sorted((n, d.version) for n, d in packages.items())).encode())
    for path in sorted((ROOT / "jobrunner").rglob("*.py")):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _build(name: str, packages: dict[str, metadata.Distribution]) -> None:
    subprocess.run([CLUSTER, "base-image"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        for each in packages.values():
            for file in each.files or ():
                if not str(file).startswith("..") and "__pycache__" not in str(file):
                    target = Path(folder) / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(str(each.locate_file(file)), target)
        shutil.copytree(
            ROOT / "jobrunner",
            Path(folder) / "jobrunner",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        container = _run("buildah", "from", BASE)
        try:
            _run("buildah", "copy", "-q", container, folder, PLACE)
            # Compiled once here: the root of a pod is read-only.
            _run(
                "buildah",
                "run",
                "--isolation",
                "chroot",
                container,
                "--",
                "python3",
                "-m",
                "compileall",
                "-q",
                PLACE,
            )
            _run("buildah", "commit", "-q", container, name)
        finally:
            _run("buildah", "rm", container)


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
