"""The API that the CLI and notebooks share: checks before a start, and the verbs together."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobrunner.backends.local.backend import LocalBackend
from jobrunner.corpora import fingerprint
from jobrunner.errors import DeviceError, SpecError, UsageError, WaitTimeout
from jobrunner.runner import preflight
from jobrunner.runner.api import Runner, open_runner
from jobrunner.spec import RunSpec, names
from jobrunner.status import State
from tests import builders
from tests.harness.paths import EXAMPLES

# A stage that only says that it was there.
PROGRAM = "import sys; print('00:00:00', *sys.argv[1:])"
# One that goes on until it is stopped.
ENDLESS = "import signal; signal.pause()"

Spec = Callable[..., RunSpec]


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    def make(**changes: Any) -> RunSpec:
        values = {"model": "whisper-tiny", "resources": {"device": "cpu"}, **changes}
        return builders.spec(**{"storage": str(tmp_path / "storage"), **values})

    return make


def _runner(tmp_path: Path, program: str = PROGRAM) -> Runner:
    command = (sys.executable, "-S", "-c", program)
    return Runner(
        LocalBackend(tmp_path / "state", command=command, grace_seconds=1.0),
    )


def _folder_model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "whisper"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "generation_config.json").write_text('{"is_multilingual": true}')
    (folder / "tokenizer.json").write_text('{"added_tokens": [{"content": "<|el|>"}]}')
    return folder


def test_a_run_is_submitted_waited_for_and_deleted(tmp_path: Path, spec: Spec) -> None:
    runner = _runner(tmp_path)

    submission = runner.submit(spec())

    assert submission.outcome == "created"
    assert submission.run == names.run_id(spec())
    assert runner.wait(submission.run, timeout=60).state is State.SUCCEEDED
    assert runner.submit(spec()).outcome == "adopted"
    assert [line.text for line in runner.logs(submission.run)] == [
        "00:00:00 prepare",
        "00:00:00 train",
        "00:00:00 evaluate --lang el",
    ]
    runner.delete(submission.run)
    assert runner.list() == []


def test_more_languages_are_evaluated_beside_those_that_were(tmp_path: Path, spec: Spec) -> None:
    runner = _runner(tmp_path)
    run = runner.submit(spec()).run
    runner.wait(run, timeout=60)

    assert runner.evaluate(run, ["Swahili", "el"]).outcome == "continued"

    stages = runner.wait(run, timeout=60).stages
    assert [stage.stage for stage in stages[2:]] == ["evaluate-el", "evaluate-sw"]
    assert runner.spec(run).evaluate.languages == ("el", "sw")
    assert runner.evaluate(run, ["sw"]).outcome == "adopted"


def test_no_language_or_an_unknown_one_or_an_unknown_run_evaluates_nothing(
    tmp_path: Path, spec: Spec
) -> None:
    runner = _runner(tmp_path)
    with pytest.raises(UsageError, match="There is no run"):
        runner.evaluate("el-nothing-0", ["el"])
    run = runner.submit(spec()).run
    runner.wait(run, timeout=60)
    with pytest.raises(SpecError, match="names no language"):
        runner.evaluate(run, [])
    with pytest.raises(SpecError, match="klingon"):
        runner.evaluate(run, ["klingon"])


def test_waiting_ends_with_its_own_exit_code_and_the_run_goes_on(
    tmp_path: Path, spec: Spec
) -> None:
    runner = _runner(tmp_path, ENDLESS)
    run = runner.submit(spec()).run

    with pytest.raises(WaitTimeout, match=f"{run} has not ended after 0.2 s. It goes on") as caught:
        runner.wait(run, timeout=0.2)

    assert caught.value.exit_code == 4
    assert not runner.status(run).state.ended
    runner.cancel(run)
    assert runner.status(run).state is State.CANCELLED


def test_without_a_cluster_it_says_what_to_type_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"There is no kubeconfig.* Set KUBECONFIG, or use --loc"):
        open_runner(local=False)
    (tmp_path / "config").write_text("nonsense")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(UsageError, match=r"^The kubeconfig cannot be used: .* Set KUBECONFIG"):
        open_runner(local=False)


def test_logs_of_a_run_that_is_forgotten_here_come_from_storage(tmp_path: Path, spec: Spec) -> None:
    runner = _runner(tmp_path)
    run = runner.submit(spec()).run
    runner.wait(run, timeout=60)
    before = list(runner.logs(run))
    runner.delete(run)

    with pytest.raises(UsageError, match="There is no run"):
        list(runner.logs(run))
    assert list(runner.logs(run, storage=spec().storage)) == before
    assert list(runner.logs(run, storage=spec().storage, stage="train")) == before[1:2]
    with pytest.raises(UsageError, match=r"no log of tain\. There are prepare, train, evaluate-el"):
        list(runner.logs(run, storage=spec().storage, stage="tain"))
    with pytest.raises(UsageError, match="There is no run"):
        list(runner.logs("el-nothing-0", storage=spec().storage))


def test_a_folder_is_pinned_by_its_content_wherever_it_lies(
    tmp_path: Path, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = _folder_model(tmp_path / "model")
    there = tmp_path / "elsewhere" / "model"
    shutil.copytree(here, there)
    monkeypatch.chdir(tmp_path)

    first, second = (preflight.resolve(spec(model=path)) for path in ("./model", str(there)))

    assert first.model == str(here)
    assert first.model_revision == second.model_revision == fingerprint.of_model(here)
    assert names.run_id(first) == names.run_id(second)
    assert preflight.resolve(first) == first


def test_a_folder_that_changed_is_not_taken_for_the_pinned_one(tmp_path: Path, spec: Spec) -> None:
    folder = _folder_model(tmp_path / "model")
    pinned = preflight.resolve(spec(model=str(folder)))
    (folder / "model.safetensors").write_bytes(b"weightz")

    with pytest.raises(SpecError, match=r"^model_revision: is .* Bring the old files back"):
        preflight.resolve(pinned)
    assert preflight.resolve(spec(model=str(folder))).model_revision != pinned.model_revision


def test_another_language_in_the_folder_leaves_the_run_what_it_is(
    tmp_path: Path, spec: Spec
) -> None:
    root = tmp_path / "speech"
    shutil.copytree(EXAMPLES / "speech" / "el", root / "el")
    before = preflight.resolve(spec(data__source=f"folder:{root}"))
    shutil.copytree(EXAMPLES / "speech" / "cy", root / "cy")

    assert preflight.resolve(spec(data__source=f"folder:{root}")) == before
    with (root / "el" / "metadata.csv").open("a") as table:
        table.write("\n")
    assert preflight.resolve(spec(data__source=f"folder:{root}")) != before


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda m: shutil.rmtree(m), "is no folder"),
        (lambda m: (m / "config.json").unlink(), "has no config.json"),
        (lambda m: (m / "config.json").write_text("{"), "cannot be read as JSON"),
        (lambda m: (m / "config.json").write_text("[]"), "cannot be read as JSON"),
        (
            lambda m: (m / "config.json").write_text(json.dumps({"model_type": "bert"})),
            "is of type 'bert', not whisper",
        ),
        (lambda m: (m / "model.safetensors").unlink(), "has no .safetensors file"),
    ],
)
def test_a_folder_that_is_no_whisper_is_told_before_anything_starts(
    tmp_path: Path, spec: Spec, spoil: Callable[[Path], object], told: str
) -> None:
    folder = _folder_model(tmp_path / "model")
    spoil(folder)
    runner = _runner(tmp_path)

    with pytest.raises(SpecError, match=rf"^model: .*{told}"):
        runner.submit(spec(model=str(folder)))
    assert runner.list() == []


def test_a_language_that_the_model_has_no_token_for_is_told(tmp_path: Path, spec: Spec) -> None:
    folder = str(_folder_model(tmp_path / "model"))
    assert preflight.preflight(spec(model=folder), backend="local") == []
    cases = [
        (spec(lang="lg"), r"^lang: whisper-tiny has no token for Ganda"),
        (spec(evaluate__languages=["el", "lg"]), r"^evaluate\.languages: .*Ganda"),
        (spec(lang="yue"), r"^lang: .*Cantonese.*whisper-large-v3"),
        (spec(model=folder, lang="sw"), r"^lang: .*no token for Swahili"),
        (spec(model="whisper-tiny.en", lang="en", evaluate__languages=["el"]), "English only"),
    ]
    for wrong, told in cases:
        with pytest.raises(SpecError, match=told):
            preflight.preflight(wrong, backend="local")
    assert preflight.preflight(spec(lang="yue", model="whisper-turbo"), backend="local") == []


def test_a_storage_that_cannot_be_written_is_told(tmp_path: Path, spec: Spec) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpecError, match=r"^storage: .*file is a file"):
        preflight.preflight(spec(storage=str(tmp_path / "file" / "deeper")), backend="local")
    with pytest.raises(SpecError, match=r"^storage: is not given"):
        preflight.preflight(spec(storage=""), backend="local")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may write everywhere
    try:
        with pytest.raises(SpecError, match=r"^storage: .* cannot be written"):
            preflight.preflight(spec(storage=str(closed / "runs")), backend="local")
    finally:
        os.seteuid(user)


def test_more_gpus_than_there_are_is_told(
    tmp_path: Path, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DeviceError, match="asks for 1 GPU and this machine shows none"):
        preflight.preflight(spec(resources={}), backend="local")


def test_a_missing_or_empty_data_folder_is_told(tmp_path: Path, spec: Spec) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for place in (tmp_path / "missing", empty):
        with pytest.raises(SpecError, match=rf"^data\.source: {place}"):
            preflight.preflight(spec(data__source=f"folder:{place}"), backend="local")
