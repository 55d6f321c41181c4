"""Wrong input: exit code 2, one line with what is wrong, and nothing made anywhere."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.commandline import Jobrunner
from tests.harness.modelfolders import write_model_folder

LOCAL = ("--lang", "el", "--local", "--device", "cpu")
# What is typed after `jobrunner`, and how the line goes on after `error: `.
CASES: list[tuple[str, str]] = [
    ("submit --local", "lang: is missing. Give --lang, such as --lang el;"),
    ("submit --lang elx --local", "lang: no language is called 'elx' (from --lang). Nearest: el"),
    ("submit --lang el --eval-lang el,grek", "evaluate.languages: no language is called 'grek'"),
    ("submit --lang el --eval-lang el,el", "evaluate: languages el,el names one of them twice"),
    (
        "submit --model wisper-small",
        "model: 'wisper-small' is not a preset, hub id or folder (from",
    ),
    ("submit --model whisper-tiny.en", "lang: whisper-tiny.en knows English only (from --lang)"),
    ("submit --model ./missing", "model: "),
    ("submit --data folder:missing", "data.source: "),
    ("submit --data corpus:x", "data.source: 'corpus:x' is not `fleurs`, `fleurs:MIRROR` or"),
    ("submit --steps -1", "train.steps: input should be greater than or equal to 0, not -1"),
    ("submit --steps 9223372036854775808", "train.steps: input should be less than or equal to"),
    ("submit --steps many", "train.steps: 'many' is not a whole number (from --steps)."),
    ("submit --steps 1e3", "train.steps: '1e3' is not a whole number"),
    (
        "submit --learning-rate nan",
        "train.learning_rate: input should be greater than or equal to 0, not nan",
    ),
    ("submit --learning-rate inf", "train.learning_rate: inf is not a number that can be used"),
    ("submit --learning-rate -1e-5", "train.learning_rate: input should be greater than or"),
    ("submit --learning-rate 1000", "train.learning_rate: 1000 is more than 0.1, the most that"),
    ("submit --set train.dropout=1", "train.dropout: 1 is more than 0.9, the most that makes"),
    ("submit --set data.holdout=1", "data.holdout: 1 is more than 0.5, the most that makes sense"),
    ("submit --set train.batch_seconds=1e308", "train.batch_seconds: 1e+308 is more than 86400,"),
    ("submit --set resources.device_seconds=9e9", "resources.device_seconds: 9e+09 is more than"),
    ("submit --set resources.workers=100000", "resources.workers: 100000 is more than 256, the"),
    ("submit --gpus 1000", "resources.gpus: 1000 is more than 64, the most that makes sense"),
    ("submit --learning-rate fast", "train.learning_rate: 'fast' is not a number"),
    ("submit --gpus -1", "resources.gpus: input should be greater than or equal to 0"),
    ("submit --device tpu", "resources.device: input should be 'auto', 'cuda' or 'cpu', not 'tpu'"),
    ("submit --storage s3://", "storage: 's3://' has no bucket; write s3://BUCKET/PREFIX (from"),
    ("submit --storage s3:///x", "storage: 's3:///x' has no bucket"),
    ("submit --storage ftp://x/y", "storage: 'ftp://x/y' is neither s3://BUCKET/PREFIX nor a"),
    ("submit --set train.steps", "--set: 'train.steps' is not KEY=VALUE"),
    ("submit --set =3", "--set: '=3' is not KEY=VALUE"),
    ("submit --set train.stesp=3", "train.stesp: there is no such key (--set train.stesp). Did"),
    ("submit --set evaluate.base=maybe", "evaluate.base: 'maybe' is not true or false"),
    ("submit --steps 5 --set train.steps=6", "train.steps: is given twice"),
    ("submit --set resources.memory=lots", "resources.memory: 'lots' is not a Kubernetes quantity"),
    ("submit --namespace ../../etc", "cluster.namespace: '../../etc' is not lower-case letters"),
    ("submit --profile ../../etc", "profile: there is no profile '../../etc'. There are a100-80gb"),
    ("submit --config missing.toml", "missing.toml: no such file or directory."),
    ("submit --config .", ".: is a directory."),
    ("submit --timeout 0", "invalid value for '--timeout'"),
    ("submit --timeout nan", "invalid value for '--timeout': 'nan' is not a number that can be"),
    ("submit --start-timeout inf", "invalid value for '--start-timeout': 'inf' is not a number"),
    ("submit --timeout 3", "--timeout: without waiting it has no meaning. Add --wait or --follow"),
    ("submit --start-timeout 3", "--start-timeout: without waiting it has no meaning."),
    ("submit --lang el --lang en", "option '--lang' is given twice. See `jobrunner submit --help"),
    ("submit --steps=3 --steps 3", "option '--steps' is given twice."),
    ("submit --data fleurs --data fleurs", "option '--data' is given twice."),
    ("submit --eval-lang el --eval-lang en", "option '--eval-lang' is given twice."),
    ("submit --wait --timeout 3 --timeout 4", "option '--timeout' is given twice."),
    ("submit --set seed=1 --set seed=2", "seed: is given twice, by --set seed."),
    ("list -o json --output wide", "option '--output' is given twice. See `jobrunner list --help"),
    ("status -n a -nb", "option '--namespace' is given twice. See `jobrunner status --help`."),
    ("config show --lang el --lang en", "option '--lang' is given twice. See `jobrunner config sh"),
    ("prune --older-than nan", "invalid value for '--older-than': 'nan' is not a number"),
    ("submit --set train=5", "train: is a group of fields (--set train), such as train.steps."),
    ("submit --set version=2", "version: is the version of the format, which cannot be set"),
    ("submit --set cluster.image=", "cluster.image: is empty (from --set cluster.image)."),
    ("submit --set cluster.gpu_label=//x", "cluster.gpu_label: '//x' is not a Kubernetes label"),
    ("submit --set resources.memory=1m", "resources.memory: '1m' is too little; write bytes with"),
    ("submit --storage s3:/bucket", "storage: 's3:/bucket' is not a URL; write s3://bucket (from"),
    ("submit --storage file://", "storage: 'file://' names no folder; write file:///PATH or PATH"),
    ("submit --storage $HOME/x", "storage: '$HOME/x' has a variable that no shell replaced;"),
    ("report --storage s3:/bucket", "storage: 's3:/bucket' is not a URL; write s3://bucket (from"),
    ("submit --stepz 3", "no such option '--stepz'."),
    ("submit extra", "got unexpected extra argument (extra)."),
    ("submt", "no such command 'submt'. Did you mean 'submit'? See `jobrunner --help`."),
    ("status ../../etc", "run: '../../etc' is not a run id. `jobrunner list` shows them."),
    ("status el-whisper-tiny-00000000", "There is no run el-whisper-tiny-00000000"),
    ("status", "There are no runs yet."),
    ("logs ../../etc", "run: '../../etc' is not a run id."),
    ("cancel ../../etc", "run: '../../etc' is not a run id."),
    ("cancel", "missing argument 'RUN...'."),
    ("delete ../../etc", "run: '../../etc' is not a run id."),
    ("show ../../etc", "run: '../../etc' is not a run id."),
    ("resume ../../etc", "run: '../../etc' is not a run id."),
    ("resume", "missing argument 'RUN'."),
    ("diff ../../etc @latest", "run: '../../etc' is not a run id."),
    ("diff @latest", "missing argument 'RUN'."),
    ("export ../../etc there", "run: '../../etc' is not a run id."),
    ("export @latest", "missing argument 'DIR'."),
    ("report ../../etc", "run: '../../etc' is not a run id."),
    ("evaluate --model whisper-tiny", "lang: is missing. Give --lang, such as --lang el,en."),
    ("evaluate --lang el", "model: is missing. Give a run's id, or a model, with --model."),
    ("evaluate --model nothing --lang el --local", "model: 'nothing' is not a preset, hub id or"),
    ("render --lang el", "storage: is not given. Give --storage s3://BUCKET/PREFIX for the"),
    ("render --lang el --storage runs", "storage: "),
    (
        "evaluate --model el-whisper-x-0 --lang el --local",
        "model: 'el-whisper-x-0' is not a preset,",
    ),
    ("evaluate --model whisper-tiny --lang el --gpus 2", "no such option '--gpus'."),
    ("render --lang el --local", "no such option '--local'."),
    ("completion", "missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish. See `"),
    ("completion tcsh", "invalid value for '{bash|zsh|fish}': 'tcsh' is not one of"),
    ("status -o xml", "invalid value for '-o' / '--output': 'xml' is not one of"),
]


def _made(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != "here"
    )


def _check(answer_code: int, out: str, err: str, expected: str) -> None:
    assert answer_code == 2, err
    assert out == ""
    assert err.startswith(f"error: {expected}")
    assert err.count("\n") == 1
    assert err.endswith("\n")


@pytest.mark.parametrize(("typed", "expected"), CASES, ids=[typed for typed, _ in CASES])
def test_wrong_input_is_one_line_and_code_2(
    jobrunner: Jobrunner, tmp_path: Path, typed: str, expected: str
) -> None:
    arguments = typed.split()
    if arguments[0] == "submit":
        arguments += [each for each in ("--lang", "el") if " --lang" not in typed]
        arguments += ["--local", "--device", "cpu"] if "--device" not in typed else ["--local"]
        arguments = arguments if "submit --local" not in typed else ["submit", "--local"]
    answer = jobrunner(*arguments)
    _check(answer.code, answer.out, answer.err, expected)
    assert _made(tmp_path) == []


def test_control_characters_are_shown_and_never_obeyed(
    jobrunner: Jobrunner, tmp_path: Path
) -> None:
    evil = "\x1b[2J\x07\r\n\u202eel"
    for arguments in (
        ("submit", *LOCAL, "--profile", evil),
        ("submit", *LOCAL, "--namespace", evil),
        ("submit", *LOCAL, "--set", f"{evil}=1"),
        ("submit", *LOCAL, "--set", f"train.steps={evil}"),
        ("submit", *LOCAL, "--model", f"owner/{evil}"),
        ("submit", *LOCAL, "--data", f"folder:{evil}"),
        ("submit", *LOCAL, "--storage", evil),
        ("submit", *LOCAL, "--config", evil),
        ("submit", *LOCAL, f"--{evil}"),
        ("submit", "--local", "--lang", evil),
        ("status", evil),
        ("evaluate", "--model", evil, "--lang", "el", "--local"),
        (evil,),
    ):
        answer = jobrunner(*arguments)
        _check(answer.code, answer.out, answer.err, "")
        assert not set(answer.err) & set("\x1b\x07\r\u202e")
    assert _made(tmp_path) == []


def test_a_data_folder_that_cannot_be_used_says_why(jobrunner: Jobrunner, here: Path) -> None:
    empty, other = here / "empty", here / "other"
    empty.mkdir()
    other.mkdir()
    with (other / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file_name", "words"], ["a.wav", "x"]])
    answer = jobrunner("submit", *LOCAL, "--data", f"folder:{empty}")
    _check(answer.code, answer.out, answer.err, "data.source: ")
    answer = jobrunner("submit", *LOCAL, "--data", f"folder:{other}")
    _check(answer.code, answer.out, answer.err, "data.")
    assert "file_name, words" in answer.err


def test_a_model_that_git_lfs_did_not_fetch_is_refused(jobrunner: Jobrunner, here: Path) -> None:
    model = write_model_folder(here / "model")
    (model / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    answer = jobrunner("submit", *LOCAL, "--model", "model", "--data", "fleurs")
    _check(answer.code, answer.out, answer.err, f"model: {model}/model.safetensors is a Git LFS")
    assert "`git lfs pull`" in answer.err


@pytest.mark.parametrize("name", ["JOBRUNNER_STATE", "JOBRUNNER_SCRATCH"])
def test_a_folder_of_a_variable_that_cannot_be_is_named_by_the_variable(
    jobrunner: Jobrunner, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (here / "file").touch()
    monkeypatch.setenv(name, str(here / "file" / "deeper"))
    answer = jobrunner("submit", *LOCAL, "--data", "fleurs")
    place = here / "file"
    problem = "is not a folder" if name == "JOBRUNNER_STATE" else ""
    _check(answer.code, answer.out, answer.err, f"{name}: {place}{problem and ' '}{problem}")
    assert f"Set {name} to a folder" in answer.err
    monkeypatch.setenv(name, "/proc/jobrunner")  # no one can make a folder there
    answer = jobrunner("submit", *LOCAL, "--data", "fleurs")
    _check(answer.code, answer.out, answer.err, f"{name}: /proc: ")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_state_directory_that_is_a_file_is_named_by_its_variable(
    jobrunner: Jobrunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBRUNNER_STATE", os.devnull)
    for command in ("list", "status", "report"):
        answer = jobrunner(command)
        _check(answer.code, answer.out, answer.err, "JOBRUNNER_STATE: /dev/null is not a folder.")


@pytest.mark.parametrize(
    "typed", ["list", "status", "doctor", "submit --lang el --storage s3://bucket/x"]
)
def test_a_kubeconfig_that_is_named_and_missing_is_an_error(
    jobrunner: Jobrunner, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    answer = jobrunner(*typed.split())
    wanted = "KUBECONFIG: /nowhere/config: no such file or directory. Correct or unset it, or use"
    _check(answer.code, answer.out, answer.err, wanted)
    assert jobrunner("list", "--local").code == 0


def test_variables_that_mean_nothing_are_refused(
    jobrunner: Jobrunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBRUNNER_STEPS", "5")
    answer = jobrunner("submit", *LOCAL, "--dry-run")
    _check(answer.code, answer.out, answer.err, "JOBRUNNER_STEPS: there is no such variable. Did")
    assert "JOBRUNNER_TRAIN__STEPS" in answer.err


def test_a_storage_that_is_a_file_or_closed_is_refused(jobrunner: Jobrunner, here: Path) -> None:
    (here / "file").touch()
    answer = jobrunner("submit", *LOCAL, "--storage", "file")
    _check(answer.code, answer.out, answer.err, "storage: ")


def test_more_gpus_than_there_are_is_wrong_input(
    jobrunner: Jobrunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    answer = jobrunner("submit", "--lang", "el", "--local")
    _check(answer.code, answer.out, answer.err, "The run asks for 1 GPU, but this machine shows no")


def test_without_a_cluster_submit_says_what_to_type(jobrunner: Jobrunner, tmp_path: Path) -> None:
    answer = jobrunner("submit", "--lang", "el", "--storage", "s3://speech/runs")
    told = "There is no kubeconfig, so no cluster to run on. Set KUBECONFIG, or"
    _check(answer.code, answer.out, answer.err, told)
    assert "--local" in answer.err
    assert _made(tmp_path) == []


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(text=st.text(max_size=80), option=st.sampled_from(["--lang", "--model", "--set", "--steps"]))
def test_no_text_gives_a_traceback(jobrunner: Jobrunner, text: str, option: str) -> None:
    answer = jobrunner("submit", *LOCAL, option, text, "--dry-run")
    assert answer.code in {0, 2}
    assert "Traceback" not in answer.err
    assert "defect" not in answer.err
    if answer.code:
        assert answer.err.count(os.linesep) == 1
