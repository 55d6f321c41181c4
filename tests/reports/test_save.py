"""A file of a report is written whole, or what was there stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from jobrunner.reports import save

# A file-size limit stands for a full disk: the write fails after 4 kB.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from jobrunner.reports import save
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    save(Path(sys.argv[1]), "x" * 100_000)
except OSError as error:
    sys.exit(error.strerror)
"""


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "File too large\n")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "page.html")
    save(tmp_path / "link", "καλημέρα")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "καλημέρα"


def test_a_device_is_written_in_place() -> None:
    save(Path("/dev/null"), "text")
    assert Path("/dev/null").is_char_device()
