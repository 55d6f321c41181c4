"""The image's recipe agrees with the chart and the lock. tests/cluster builds and runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import yaml

from jobrunner.chart import manifests
from tests import builders
from tests.harness.paths import ROOT

IMAGES = ROOT / "images"
RECIPE = (IMAGES / "Dockerfile").read_text()


def _pins(lock: Path) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE)
    return dict(found)


def test_the_user_of_the_image_is_the_one_that_pods_run_as() -> None:
    user = yaml.safe_load((manifests.chart_folder() / "values.yaml").read_text())["pod"]["user"]
    assert f"USER {user}:{user}" in RECIPE
    assert f"--uid {user} " in RECIPE


def test_the_image_starts_what_the_chart_starts() -> None:
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", RECIPE, re.MULTILINE)
    run = builders.plan()
    (container,) = manifests.manifests(run)[1]["spec"]["template"]["spec"]["containers"]
    assert json.loads(entry) == container["command"]


def test_the_image_has_the_versions_of_the_lock_and_nothing_for_developers() -> None:
    image, whole = _pins(IMAGES / "requirements.lock"), _pins(ROOT / "requirements.lock")
    assert image.items() <= whole.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["core"]
    named = {re.split(r"[^a-z0-9-]", text)[0] for text in wanted} - {"helm-python-sdk"}
    assert named <= set(image)
    assert not {"pytest", "ruff", "mypy", "uv", "hatchling", "helm-python-sdk"} & set(image)


def test_every_package_is_checked_by_its_hash() -> None:
    lock = (IMAGES / "requirements.lock").read_text()
    assert "--require-hashes" in RECIPE
    assert lock.count("--hash=sha256:") >= len(_pins(IMAGES / "requirements.lock")) > 50
    assert not re.search(r"https?://|--index|--find-links|file:", lock)


def test_the_heavy_layer_comes_before_anything_of_the_project() -> None:
    steps = [line for line in RECIPE.splitlines() if line.startswith(("COPY", "ARG", "LABEL"))]
    assert steps[:3] == [
        "ARG BASE=docker.io/library/python:3.11-slim-bookworm",
        "COPY requirements.lock /tmp/",
        "COPY dist/ /tmp/dist/",
    ]


def test_build_says_how_to_call_it() -> None:
    done = subprocess.run([IMAGES / "build", "--what"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "images/build [--tag NAME]" in done.stderr


def test_without_a_builder_one_line_says_which_are_known() -> None:
    done = subprocess.run(
        [IMAGES / "build"],
        env={"PATH": "/usr/bin:/bin", "BUILDER": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "images/build: needs buildah, podman or docker\n"


# Stands in for a builder: it looks at what it was given once another build has got as far.
BUILDER = """#!/bin/sh
for context; do :; done
touch "$MEET/$$"
until [ "$(ls "$MEET" | wc -l)" -ge 2 ]; do sleep 0.1; done
echo "$context"
cd "$context" && find . -type f | sort
"""


def test_builds_at_the_same_time_have_a_small_context_each_and_leave_nothing(
    tmp_path: Path,
) -> None:
    meet, program = tmp_path / "meet", tmp_path / "docker"
    meet.mkdir()
    program.write_text(BUILDER)
    program.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "BUILDER": "docker",
        "MEET": str(meet),
        "TMPDIR": str(tmp_path),
    }
    builds = [
        subprocess.Popen(
            [IMAGES / "build", "--tag", f"localhost/try:{number}"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    told = [build.communicate(timeout=120)[0].splitlines() for build in builds]

    assert [build.returncode for build in builds] == [0, 0]
    for number, (_, wheel, lock, tag) in enumerate(told):
        assert re.fullmatch(r"\./dist/jobrunner-[^/]+\.whl", wheel)
        assert (lock, tag) == ("./requirements.lock", f"localhost/try:{number}")
    contexts = {Path(lines[0]) for lines in told}
    assert len(contexts) == 2
    assert not any(context.exists() for context in contexts)
    assert not (IMAGES / "dist").exists()
