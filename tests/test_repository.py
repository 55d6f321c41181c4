"""What is committed: no machine's paths, no package registry's hosts, nothing heavy."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.harness.paths import ROOT

MEBIBYTE = 2**20


def _committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def _texts() -> list[tuple[Path, str]]:
    found = []
    for path in _committed():
        data = path.read_bytes()
        if b"\0" not in data[:4096] and len(data) < 4 * MEBIBYTE:
            found.append((path, data.decode("utf-8", "replace")))
    return found


def test_the_lock_file_names_packages_and_hashes_only() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?://|--index|--find-links|file:", lock)
    pinned = re.findall(r"^[a-z0-9._-]+==", lock, re.MULTILINE | re.IGNORECASE)
    assert len(pinned) > 50
    assert lock.count("--hash=sha256:") >= len(pinned)


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    pattern = re.compile(r"(?<![\w.~/-])/(?:wo" r"rk|ro" r"ot|fa" r"rm)/")
    guilty = [str(path.relative_to(ROOT)) for path, text in _texts() if pattern.search(text)]
    assert guilty == []


def test_the_examples_stay_small() -> None:
    speech = sum(
        p.stat().st_size for p in _committed() if p.is_relative_to(ROOT / "examples/speech")
    )
    assert 0 < speech <= 15 * MEBIBYTE


@pytest.mark.parametrize(
    "target", ["setup", "demo", "demo-cluster", "test", "check", "bench", "image"]
)
def test_the_makefile_has_the_target(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_ci_calls_what_the_readme_tells_people_to_call() -> None:
    calls = (ROOT / ".ci/run").read_text()
    readme = (ROOT / "README.md").read_text()
    for command in ("make demo", "make test"):
        assert command in calls
        assert command in readme
