"""Results from Python: what does not exist is refused, and a saved report is the whole page."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.errors import UnknownRun, UsageError
from jobrunner.runner import sdk
from jobrunner.spec import keys
from jobrunner.spec.record import RunRecord, write_record
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.harness.here import here
from tests.harness.results import RUN, pair, store

__all__ = ["here"]
SAID = ["καλημέρα κόσμε", "ναι"]


@pytest.fixture
def stored(here: Path) -> str:
    """A storage with one run, whose record is there too."""
    storage = LocalStorage(here / "there")
    _, tuned = pair(SAID, ["όχι"] * 2, ["καλημέρα", "ναι"])
    store(storage, tuned, SAID, ["καλημέρα", "ναι"])
    spec = builders.spec(model="whisper-tiny", train__steps=700)
    record = RunRecord(run=RUN, digest="", spec=spec)
    storage.write(keys.run_file(RUN), write_record(record).encode())
    return str(here / "there")


def test_a_run_or_a_storage_that_does_not_exist_is_refused(stored: str) -> None:
    with pytest.raises(UnknownRun, match="no run nosuch in"):
        sdk.report("nosuch", storage=stored)
    with pytest.raises(UnknownRun, match="no run nosuch on this machine"):
        sdk.report("nosuch")
    with pytest.raises(UsageError, match="there is no folder"):
        sdk.report(storage=f"{stored}-not")


def test_a_run_without_results_that_is_in_storage_is_not_refused(stored: str) -> None:
    LocalStorage(Path(stored)).write(keys.run_file("el-other-00000000"), b"{}")
    assert len(sdk.report("el-other-00000000", storage=stored)) == 0


def test_a_saved_report_is_the_whole_page(stored: str, here: Path) -> None:
    report = sdk.report(RUN, storage=stored)
    assert [comparison.run for comparison in report] == [RUN]
    report.save(here / "page.html")
    page = (here / "page.html").read_text(encoding="utf-8")
    assert "700 <small>(default 2000)</small>" in page
    assert "The 2 worst of 2 utterances" in page
    assert {path.name for path in here.iterdir()} == {"page.html", "there"}
