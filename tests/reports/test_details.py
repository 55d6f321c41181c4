"""What storage knows of a run is read, whatever is missing or damaged."""

from __future__ import annotations

from pathlib import Path

from jobrunner.reports.details import curve, read_run
from jobrunner.spec import keys
from jobrunner.spec.record import write_record
from jobrunner.storage import folders
from jobrunner.storage.local import LocalStorage
from tests import builders
from tests.harness.results import RUN

HISTORY = [
    b'{"step": 1, "loss": 2.5, "learning_rate": 1e-5}',
    b'{"step": 2, "loss": null, "learning_rate": 1e-5}',
    b'{"step": 2, "metric": "wer", "rate": 0.5, "wer": 0.5, "cer": 0.2}',
    b'{"step": 4, "metric": "wer", "rate": 0.4}',
    b'{"step": 6, "metric": "wer", "rate": 0.4}',
    b'{"step": 8, "metric": "wer", "rate": 0.6}',
    b'{"step": 9, "lo',
]


def test_the_curve_has_losses_and_validations_and_knows_the_exported_one() -> None:
    found = curve(HISTORY)
    assert found
    assert found.losses == ((1, 2.5),)
    assert found.metric.name == "wer"
    assert [step for step, _ in found.validations] == [2, 4, 6, 8]
    assert found.best == (6, 0.4)


def test_validations_of_0_1_0_and_those_by_loss_are_read_too() -> None:
    old = curve([b'{"step": 5, "wer": 0.3, "cer": 0.1}'])
    assert old
    assert old.validations == ((5, 0.3),)
    by_loss = curve([b'{"step": 5, "metric": "loss", "rate": 1.5, "loss": 1.5}'])
    assert by_loss
    assert (by_loss.losses, by_loss.validations) == ((), ((5, 1.5),))
    assert by_loss.metric.name == "loss"


def test_a_run_without_anything_has_no_details_and_a_damaged_record_is_named(
    tmp_path: Path,
) -> None:
    storage = LocalStorage(tmp_path)
    lines: list[str] = []
    empty = read_run(storage, RUN, warn=lines.append)
    assert (empty.record, empty.curve, empty.exported, lines) == (None, None, False, [])
    storage.write(keys.run_file(RUN), b"{")
    assert read_run(storage, RUN, warn=lines.append).record is None
    assert lines[0].startswith(f"{RUN}: Its record is damaged")


def test_record_history_and_export_are_found(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    record = builders.plan().record
    storage.write(keys.run_file(RUN), write_record(record).encode())
    storage.write(keys.history_file(RUN), b"\n".join(HISTORY))
    storage.write(keys.export_prefix(RUN) + folders.MANIFEST, b"{}")
    found = read_run(storage, RUN)
    assert found.record == record
    assert found.curve
    assert found.exported
    assert found.storage == str(tmp_path)
