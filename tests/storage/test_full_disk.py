"""A disk that is really full: a file system of 2 MB, mounted for one process alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.harness.paths import ROOT

# Runs with the small file system as its first argument. Prints what it saw, as JSON.
SCRIPT = """
import json, sys
from pathlib import Path
from jobrunner.errors import StorageFull
from jobrunner.storage import open_storage

root = Path(sys.argv[1]) / "storage"
storage = open_storage(str(root))
kept, errors = [], []
source = Path(sys.argv[2])
source.write_bytes(b"s" * 300_000)
calls = [
    lambda key: storage.write(key, key.encode() * 40_000),
    lambda key: storage.create(key, key.encode() * 40_000),
    lambda key: storage.write_file(key, source),
]
for number in range(30):
    key = f"key-{number:02d}"
    try:
        calls[number % 3](key)
        kept.append(key)
    except StorageFull as error:
        errors.append(str(error))
intact = all(
    storage.read(key) == (b"s" * 300_000 if int(key[4:]) % 3 == 2 else key.encode() * 40_000)
    for key in kept
)
storage.delete(kept[0])
storage.write("after", b"room again")
print(json.dumps({
    "kept": kept, "errors": errors, "intact": intact,
    "listed": [entry.key for entry in storage.list("")],
    "left": [path.name for path in (root / ".incomplete").iterdir()],
}))
"""


def test_a_full_disk_is_told_and_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    # A mount of one's own needs no rights beyond those to be root in a namespace of one's own.
    mount = 'mount -t tmpfs -o size=2m tmpfs "$0" && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(place)]
    done = subprocess.run(
        [*command, sys.executable, "-c", SCRIPT, str(place), str(tmp_path / "source")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert 3 < len(seen["kept"]) < 10
    assert len(seen["kept"]) + len(seen["errors"]) == 30
    assert all("No room left to write key-" in text for text in seen["errors"])
    assert all("goes on where it was" in text for text in seen["errors"])
    assert seen["intact"]
    assert seen["listed"] == ["after", *seen["kept"][1:]]
    assert seen["left"] == []
