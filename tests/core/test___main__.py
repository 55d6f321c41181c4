"""A stage as a process: what it refuses to start with, and how it says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobrunner.catalog import installed
from jobrunner.core import __main__ as core
from jobrunner.core import prepare
from jobrunner.core.__main__ import stage_context
from jobrunner.core.attempt.attempt import Attempt
from jobrunner.errors import PERMANENT_EXIT_CODES, UsageError
from jobrunner.spec.record import new_record, read_record, write_record
from tests import builders
from tests.harness.newer import UNKNOWN, UNREADABLE, newer_text
from tests.harness.processes import CORE

Use = Callable[..., Path]


@pytest.fixture(autouse=True)
def _sigterm() -> Iterator[None]:
    """A stage that starts takes over SIGTERM of this process."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Use:
    """Writes a run.json and makes it the one that a stage reads."""
    for name in os.environ:
        if name.startswith("JOBRUNNER_"):
            monkeypatch.delenv(name)

    def written(text: str, **variables: str) -> Path:
        file = tmp_path / "run.json"
        file.write_text(text)
        monkeypatch.setenv("JOBRUNNER_SPEC", str(file))
        monkeypatch.setenv("JOBRUNNER_SCRATCH", str(tmp_path / "scratch"))
        for name, value in variables.items():
            monkeypatch.setenv(f"JOBRUNNER_{name}", value)
        return file

    return written


@pytest.fixture
def record(tmp_path: Path) -> Any:
    return new_record(builders.spec(model="whisper-tiny", storage=str(tmp_path / "storage")))


def assert_refused(*words: str) -> None:
    """The stage does not start, and says why in one line."""
    with pytest.raises(UsageError) as caught:
        stage_context()
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_stage_is_of_the_run_that_its_record_names(use: Use, record: Any, tmp_path: Path) -> None:
    use(write_record(record), RUN=record.run, ATTEMPT="a", GRACE_SECONDS="7")
    context = stage_context()
    assert (context.record, context.run, context.spec) == (record, record.run, record.spec)
    assert (context.attempt, context.grace_seconds) == ("a", 7.0)
    assert context.storage.url == str(tmp_path / "storage")
    assert context.scratch == tmp_path / "scratch" / "jobrunner"


@pytest.mark.parametrize(
    ("spot", "given", "node", "seconds"),
    [
        (True, 0, "gke-speech-a100-4f1c9d2e-x7kp", 25.0),
        (True, 0, "ip-10-0-31-7.eu-west-1.compute.internal", 120.0),
        (True, 60, "gke-speech-a100-4f1c9d2e-x7kp", 60.0),
        (True, 900, "gke-speech-a100-4f1c9d2e-x7kp", 401.0),
        (False, 0, "gke-speech-a100-4f1c9d2e-x7kp", 401.0),
        (True, 0, "", 401.0),
    ],
)
def test_a_spot_node_that_vanishes_sooner_shortens_the_grace_of_the_pod(
    use: Use, spot: bool, given: int, node: str, seconds: float
) -> None:
    run = builders.spec(cluster__spot=spot, cluster__spot_grace_seconds=given)
    use(write_record(new_record(run)), RUN=builders.run_id(run), NODE=node, GRACE_SECONDS="401")
    assert stage_context().grace_seconds == seconds


def test_a_pod_of_a_run_of_version_1_is_started_as_before(use: Use) -> None:
    spec = builders.spec(version=1, storage="s3://bucket/runs")
    values = spec.model_dump(mode="json")
    values["data"] = {"source": "fleurs", "revision": ""}
    use(json.dumps(values))
    assert stage_context().run == builders.run_id(spec)


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_image_that_is_too_old_for_the_run_names_both_versions(
    use: Use, record: Any, name: str
) -> None:
    use(newer_text(record, UNREADABLE[name]), RUN=record.run)
    assert_refused(f"This is jobrunner {installed.__version__}", "9.9.9", "cluster.image")


def test_an_image_that_would_leave_fields_out_names_them_and_both_versions(
    use: Use, record: Any
) -> None:
    use(newer_text(record, UNKNOWN), RUN=record.run)
    assert_refused(
        f"This is jobrunner {installed.__version__}, older than the 9.9.9",
        "train.label_smoothing",
        "tags",
        "cluster.image",
    )


def test_a_record_of_another_run_is_refused(use: Use, record: Any) -> None:
    use(write_record(record), RUN="el-whisper-tiny-00000000")
    assert_refused(record.run, "el-whisper-tiny-00000000", "Submit the run again")


def test_a_record_of_a_newer_client_with_nothing_new_is_taken(use: Use, record: Any) -> None:
    text = newer_text(record, {})
    use(text, RUN=record.run)
    assert stage_context().record == read_record(text)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_record_that_is_damaged_is_refused(use: Use, text: str) -> None:
    use(text)
    assert_refused("Its record is damaged")


def test_a_record_that_is_not_there_is_named(use: Use, record: Any) -> None:
    file = use(write_record(record))
    file.unlink()
    assert_refused(str(file), "No such file")


def test_without_a_record_the_variable_is_named(
    use: Use, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(write_record(record))
    monkeypatch.delenv("JOBRUNNER_SPEC")
    assert_refused("JOBRUNNER_SPEC is not set")


def test_the_process_ends_with_2_and_one_line(use: Use, record: Any, tmp_path: Path) -> None:
    use(newer_text(record, UNREADABLE["a form of its own"]), RUN=record.run)
    done = subprocess.run([*CORE, "prepare"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == ""
    [line] = done.stdout.splitlines()
    assert (
        f"error: This is jobrunner {installed.__version__}. The run was made by a newer jobrunner"
        in line
    )
    assert not (tmp_path / "storage").exists()


def test_a_scratch_folder_that_cannot_be_made_is_named(
    use: Use, record: Any, tmp_path: Path
) -> None:
    use(write_record(record), SCRATCH=str(tmp_path / "run.json" / "deeper"))
    assert_refused("JOBRUNNER_SCRATCH: ", "Not a directory", "a folder that can be written")


def test_an_unexpected_error_is_tried_again_until_it_comes_again(
    use: Use, record: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(context: Any) -> None:
        raise RuntimeError("no such layer")

    monkeypatch.setattr(prepare, "run", broken)
    monkeypatch.setattr("sys.argv", ["core", "prepare"])
    codes = []
    for attempt in ("a", "b"):
        use(write_record(record), RUN=record.run, ATTEMPT=attempt, STAGE="prepare")
        codes.append(core._run(Attempt()))
    assert codes == [1, 71]
    assert 71 in PERMANENT_EXIT_CODES
    printed = capsys.readouterr()
    assert printed.err.count("Traceback") == 2
    [line] = printed.out.splitlines()
    assert line.endswith(
        "error: The attempt before ended in the same way: RuntimeError: no such layer"
    )
