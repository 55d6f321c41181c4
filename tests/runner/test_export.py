"""The model of a run on this machine: where it is used from."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.errors import UsageError
from jobrunner.runner import export
from jobrunner.spec import RunSpec, keys
from jobrunner.spec.record import new_record
from jobrunner.storage import folders
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.harness.elsewhere import Elsewhere
from tests.harness.paths import MICRO


def test_a_model_in_a_folder_is_used_where_it_is(tmp_path: Path) -> None:
    record = new_record(builders.spec(storage=str(tmp_path / "storage")))
    with pytest.raises(UsageError, match=rf"^{record.run} has no model in .*storage yet\."):
        export.here(record)
    storage = LocalStorage(tmp_path / "storage")
    folders.publish(storage, keys.export_prefix(record.run), MICRO)
    assert export.here(record) == tmp_path / "storage" / "runs" / record.run / "export"


def test_a_model_elsewhere_is_copied_to_the_cache_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Elsewhere(tmp_path / "storage")
    monkeypatch.setattr(RunSpec, "open_storage", lambda spec: storage)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    record = new_record(builders.spec())
    folders.publish(storage, keys.export_prefix(record.run), MICRO)
    folder = export.here(record)
    assert folder.is_relative_to(tmp_path / "cache")
    weights = (MICRO / "model.safetensors").read_bytes()
    assert (folder / "model.safetensors").read_bytes() == weights
    storage.forget()
    assert export.here(record) == folder
    assert storage.opened() == []


def test_a_run_that_trains_nothing_has_no_model() -> None:
    record = new_record(builders.spec(task="evaluate"))
    with pytest.raises(UsageError, match=r"measures whisper-small and trains no model\."):
        export.here(record)
