"""A second family and a second corpus, each one file and one row, go the whole way of a run."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from jobrunner.backends.local.backend import LocalBackend
from jobrunner.catalog.corpora import CORPORA
from jobrunner.catalog.models import FAMILIES
from jobrunner.errors import SpecError
from jobrunner.runner.api import Runner
from jobrunner.runner.results import results
from jobrunner.spec import RunSpec, keys, parse
from jobrunner.states import State
from jobrunner.storage.folders import fetch
from jobrunner.storage.local import LocalStorage
from tests.harness import family, rows
from tests.harness.paths import STAGES
from tests.harness.waiting import until

SECONDS = 240.0
WORDS = ("ναι", "όχι", "καλά", "νερό", "δύο")


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, rows.FAMILY_TYPE, rows.FAMILY)
    monkeypatch.setitem(CORPORA, rows.CORPUS.kind, rows.CORPUS)


def write_corpus(folder: Path) -> Path:
    """Greek clips in three splits; one of those to learn from has no letter."""
    folder.mkdir()
    splits: dict[str, list[list[str]]] = {"learn": [], "check": [], "test": []}
    for number in range(26):
        split = "learn" if number < 18 else "check" if number < 22 else "test"
        random = np.random.default_rng(number)
        sound = random.standard_normal(int(random.integers(8_000, 24_000))) * 0.1
        np.save(folder / f"{number}.npy", sound.astype(np.float32))
        text = "…" if number == 3 else f"{WORDS[number % 5]} {WORDS[number // 5 % 5]} {number}"
        splits[split].append([str(number), text])
    (folder / "clips.json").write_text(json.dumps({"el": splits}))
    return folder


def spec_in(root: Path, storage: str) -> RunSpec:
    return parse(
        {
            "lang": "el",
            "model": str(root / "base"),
            "storage": str(root / storage),
            "data": {"source": f"arrays:{root / 'arrays'}"},
            "train": {
                **{"steps": 8, "warmup_steps": 1, "learning_rate": 1e-2, "batch_seconds": 4.0},
                **{"save_every": 2, "validate_every": 2, "validation_utterances": 4},
            },
            "resources": {"device": "cpu", "gpus": 0, "device_seconds": 2.0, "workers": 1},
        }
    )


def runner_in(root: Path, control: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    control.mkdir()
    monkeypatch.setenv("JOBRUNNER_TEST_CONTROL", str(control))
    path = [str(Path(rows.__file__).parent / "plugins"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    command = (sys.executable, str(STAGES / "held.py"))
    return Runner(LocalBackend(root / "state", command=command, retry_seconds=0.1))


def test_both_go_through_prepare_train_kill_resume_evaluate_and_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(tmp_path / "arrays")
    family.make(seed=1).export(tmp_path / "base")
    control = tmp_path / "control"
    runner = runner_in(tmp_path, control, monkeypatch)
    (control / "hold-6").touch()
    run = runner.submit(spec_in(tmp_path, "killed")).run

    [held] = until(lambda: list(control.glob("held-6-*")), "training is held", SECONDS)
    os.kill(int(held.name.rpartition("-")[2]), signal.SIGKILL)
    (control / "hold-6").unlink()
    ended = runner.wait(run, timeout=SECONDS)

    assert ended.state is State.SUCCEEDED, ended
    trained = next(stage for stage in ended.stages if stage.stage == "train")
    assert trained.attempts == 2
    assert trained.progress.resumes == 1
    assert trained.progress.metric == "loss"
    storage = LocalStorage(tmp_path / "killed")
    lines = storage.read(keys.history_file(run)).splitlines()
    history = [json.loads(line) for line in lines]
    losses = [record["loss"] for record in history if "loss" in record]
    validations = [record["rate"] for record in history if "metric" in record]
    assert len(losses) == 8
    assert losses[-1] < losses[0]
    assert trained.progress.best_rate == min(validations)
    summary = json.loads(storage.read(keys.export_prefix(run) + keys.TRAINING))
    assert summary["dropped_clips"] == {"unwritten": 1}
    [comparison] = results(runner, [run], storage=str(tmp_path / "killed"))
    assert comparison.base
    assert comparison.tuned
    assert comparison.test_set == "arrays"
    card = storage.read(keys.export_prefix(run) + keys.CARD).decode()
    assert "nobody/arrays" in card
    assert "- buckets" in card

    # Not killed, it comes to the last bit of the same model.
    runner.delete(run)
    other = runner.submit(spec_in(tmp_path, "whole")).run
    assert other == run
    assert runner.wait(other, timeout=SECONDS).state is State.SUCCEEDED
    pair = [
        fetch(LocalStorage(tmp_path / name), keys.export_prefix(run), tmp_path / "scratch")
        for name in ("killed", "whole")
    ]
    first, second = (safetensors.torch.load_file(each / "model.safetensors") for each in pair)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_a_corpus_lacks_is_asked_of_its_row(tmp_path: Path) -> None:
    values = {"lang": "sw", "data": {"source": f"arrays:{tmp_path}"}}
    with pytest.raises(SpecError, match=r"data\.source: Arrays has no Swahili \(sw\)"):
        parse(values)


def test_its_recipe_goes_to_other_processes() -> None:
    assert isinstance(pickle.loads(pickle.dumps(family.Recipe())), family.Recipe)
