"""Runs that another machine submitted, found in the storage that both reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.errors import UnknownRun, UsageError
from jobrunner.runner.elsewhere import record_in
from jobrunner.spec import keys
from jobrunner.spec.record import new_record, write_record
from jobrunner.storage.local import LocalStorage
from tests import builders


def _written(root: Path, **changes: object) -> str:
    record = new_record(builders.spec(storage="/mnt/theirs", **changes))
    LocalStorage(root).write(keys.run_file(record.run), write_record(record).encode())
    return record.run


def test_a_run_is_found_by_its_start_and_has_the_storage_as_it_is_called_here(
    tmp_path: Path,
) -> None:
    run = _written(tmp_path)
    for text in (run, run[:6]):
        record = record_in(str(tmp_path), text, endpoint="http://localhost:9000")
        assert record.run == run
        assert record.spec.storage == str(tmp_path)
        assert record.spec.cluster.storage_endpoint == "http://localhost:9000"


def test_a_run_that_is_not_there_or_a_start_of_several_is_refused(tmp_path: Path) -> None:
    runs = [_written(tmp_path), _written(tmp_path, seed=1)]
    with pytest.raises(UnknownRun, match=f"There is no run cy-whisper in {tmp_path}"):
        record_in(str(tmp_path), "cy-whisper")
    with pytest.raises(UsageError, match=f"is the start of 2 run ids: .*{runs[0]}"):
        record_in(str(tmp_path), "el-whisper")
    with pytest.raises(UsageError, match="There is no storage at"):
        record_in(str(tmp_path / "no"), runs[0])
