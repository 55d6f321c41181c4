"""A storage that exists, and what a stage makes again after a repair."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.core import prepare
from jobrunner.errors import UsageError
from jobrunner.runner.space.view import view
from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage
from tests.harness.speech import make_context, make_spec, rows, write_speech


def test_a_folder_that_is_not_there_is_no_storage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"There is no storage at {tmp_path}/typo"):
        view(str(tmp_path / "typo"))
    (tmp_path / "empty").mkdir()
    assert view(str(tmp_path / "empty")).inventory().runs == ()


@pytest.mark.parametrize("how", ["lost", "cut", "changed"])
def test_what_was_repaired_is_prepared_again_with_the_same_bytes(tmp_path: Path, how: str) -> None:
    write_speech(tmp_path / "speech", rows())
    spec = make_spec(tmp_path)
    prepare.run(make_context(spec))
    storage = LocalStorage(Path(spec.storage))
    prefix = keys.data_prefix(spec, "el")
    before = {entry.key: storage.read(entry.key) for entry in storage.list(prefix)}
    shard = next(key for key in before if key.endswith(".flacs") and "/train/" in key)
    sound = before[shard]
    if how == "lost":
        storage.delete(shard)
    else:
        storage.write(shard, sound[:-1] if how == "cut" else bytes([sound[0] ^ 1]) + sound[1:])
    opened = view(spec.storage)
    found = opened.check(deep=True)
    assert [damage.key for damage in found.damages] == [shard]
    opened.repair(found, found.damaged)
    prepare.run(make_context(spec))
    assert {entry.key: storage.read(entry.key) for entry in storage.list(prefix)} == before
    assert opened.check(deep=True).damages == ()
