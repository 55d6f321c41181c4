"""The results of runs are found in storage, and one that cannot be read is named."""

from __future__ import annotations

from pathlib import Path

from jobrunner.reports import collect
from jobrunner.scoring.result import Result
from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage
from tests.harness.results import measure

OTHER = "hi-whisper-base-00c0ffee"


def store(storage: LocalStorage, results: list[Result]) -> None:
    for result in results:
        place = (result.run, result.which, result.test_set, result.language)
        storage.write(keys.result_file(*place), result.model_dump_json().encode())
        storage.write(keys.predictions_file(*place), b"PAR1")


def test_all_results_of_a_run_are_found_and_no_others(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    mine = measure("el", 0.9, 0.1) + measure("en", 0.2, 0.3)
    store(storage, mine + measure("hi", 0.5, 0.4, run=OTHER))
    storage.write(f"runs/{mine[0].run}/export/result.json", b"{}")
    assert len(collect(storage, [mine[0].run])) == 4
    assert len(collect(storage)) == 6
    assert collect(storage, ["el-nobody-00000000"]) == []
    assert {r.language for r in collect(storage, [OTHER])} == {"hi"}


def test_a_result_that_cannot_be_read_is_named_and_left_out(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    store(storage, measure("el", 0.9, 0.1))
    broken = keys.result_file(OTHER, "base", "fleurs", "hi")
    storage.write(broken, b'{"version": 1}')
    lines: list[str] = []
    assert len(collect(storage, warn=lines.append)) == 2
    assert len(lines) == 1
    assert lines[0].startswith(broken)
    assert "submitted again, that run measures" in lines[0]
