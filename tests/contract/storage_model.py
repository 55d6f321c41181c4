"""Any sequence of calls leaves storage as it would leave a dictionary."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobrunner.errors import NotFound
from jobrunner.storage import Storage

# Folders and objects never share a name, as in the protocol.
FOLDERS = st.lists(st.sampled_from(["d", "d-", "d.", "D", "δ", "d d"]), max_size=3)
NAMES = st.sampled_from(["f", "f-1", "f1", "F", "é", "\U0001f399"])
KEYS = st.builds(lambda folders, name: "/".join([*folders, name]), FOLDERS, NAMES)
BODIES = st.binary(max_size=64) | st.just(b"long" * 50_000)


class Comparison(RuleBasedStateMachine):
    """Every call goes to storage and to a dictionary."""

    new_storage: Callable[[], Storage]

    @initialize()
    def begin(self) -> None:
        self.storage = self.new_storage()
        self.model: dict[str, bytes] = {}

    @rule(key=KEYS, body=BODIES)
    def write(self, key: str, body: bytes) -> None:
        self.storage.write(key, body)
        self.model[key] = body

    @rule(key=KEYS, body=BODIES)
    def write_file(self, key: str, body: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(body)
            self.storage.write_file(key, Path(file.name))
        self.model[key] = body

    @rule(key=KEYS, body=BODIES)
    def create(self, key: str, body: bytes) -> None:
        assert self.storage.create(key, body) == (key not in self.model)
        self.model.setdefault(key, body)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.storage.delete(key)
        self.model.pop(key, None)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete_what_is_there(self, data: st.DataObject) -> None:
        self.delete(data.draw(st.sampled_from(sorted(self.model))))

    @rule(key=KEYS)
    def read(self, key: str) -> None:
        entry = self.storage.stat(key)
        if key in self.model:
            assert entry
            assert entry.size == len(self.model[key])
            assert self.storage.read(key) == self.model[key]
        else:
            assert entry is None
            with pytest.raises(NotFound):
                self.storage.read(key)

    @rule(key=KEYS, length=st.integers(0, 8))
    def list_prefix(self, key: str, length: int) -> None:
        prefix = key[:length]
        found = [(entry.key, entry.size) for entry in self.storage.list(prefix)]
        assert found == [
            (key, len(body)) for key, body in sorted(self.model.items()) if key.startswith(prefix)
        ]

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.list_prefix("", 0)


def behaves_like_a_dictionary(new_storage: Callable[[], Storage], *, examples: int) -> None:
    """Fails when a sequence of calls is found that tells a storage from a dictionary."""

    class Machine(Comparison):
        pass

    Machine.new_storage = staticmethod(new_storage)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
