"""`init`: a commented jobrunner.toml, once."""

from __future__ import annotations

from pathlib import Path

from tests.harness.commandline import Jobrunner


def test_init_writes_a_file_once(jobrunner: Jobrunner, here: Path) -> None:
    assert jobrunner("init").out == "jobrunner.toml\n"
    assert jobrunner("config", "show").code == 0
    (here / "jobrunner.toml").write_text("seed = 3\n")
    refused = jobrunner("init")
    assert (refused.code, refused.err) == (
        2,
        "error: jobrunner.toml already exists. --force replaces it.\n",
    )
    assert (here / "jobrunner.toml").read_text() == "seed = 3\n"
    assert jobrunner("init", "--force").code == 0
    assert "# seed = 0" in (here / "jobrunner.toml").read_text()
