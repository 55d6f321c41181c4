"""Commands, options, settings and variables that are refused, typed as their hints say."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import jobrunner as sdk
from jobrunner import config
from jobrunner.catalog.backends import BACKENDS
from jobrunner.errors import SpecError, UsageError
from jobrunner.runner import preflight
from jobrunner.spec import RunSpec
from tests import builders
from tests.harness.commandline import Jobrunner, jobrunner
from tests.harness.here import here
from tests.harness.hints import assert_hint, hinted
from tests.hints.case import CLIP, SUBMIT, Case, follow, instead, without

__all__ = ["here", "jobrunner"]

LOCAL = BACKENDS["local"]
S3 = ("--storage", "s3://speech/runs")
CLUSTER = ("submit", "--lang", "el", *S3, "--dry-run")
TINY = ("--model", "whisper-tiny", "--local", "--device", "cpu", "--dry-run")


def _set(*pairs: str) -> tuple[str, ...]:
    return (*SUBMIT, *(word for pair in pairs for word in ("--set", pair)))


def _variable(name: str, value: str) -> Callable[[], object]:
    return lambda: os.environ.update({name: value})


def _unset(name: str) -> Callable[[], object]:
    return lambda: os.environ.pop(name)


CASES = {
    "a file as storage": Case(
        mistake=lambda: Path("file").touch(),
        wrong=instead("--storage", "file"),
        hint="Name a folder with --storage.",
    ),
    "no storage": Case(wrong=instead("--storage", ""), hint="Name a folder with --storage."),
    "a storage that is not there": Case(
        wrong=("storage", "du", "--storage", "no"),
        hint="Name one with --storage; the first run makes it.",
        repair=lambda: Path("storage").mkdir(),
        right=("storage", "du", "--storage", "storage"),
    ),
    "a folder for pods": Case(
        wrong=without("--local", "--device"),
        hint="Give --storage s3://BUCKET/PREFIX for the cluster, or --local for this machine.",
    ),
    "a bucket for pods": Case(
        wrong=without("--local", "--device"),
        hint="Give --storage s3://BUCKET/PREFIX for the cluster, or --local for this machine.",
        right=CLUSTER,
    ),
    "a storage to render": Case(
        wrong=("render", "--lang", "el"),
        hint="Give --storage s3://BUCKET/PREFIX for the cluster.",
        right=("render", "--lang", "el", *S3),
    ),
    "more GPUs than there are": Case(
        wrong=without("--device"), hint="Use --device cpu to train on the CPU."
    ),
    "no language": Case(
        wrong=without("--lang"),
        hint="Give --lang, such as --lang el; `jobrunner languages` lists them.",
    ),
    "a misspelt language": Case(wrong=instead("--lang", "Grek"), hint="Nearest: el (Greek)."),
    "no such language": Case(
        wrong=instead("--lang", "qqqqqq"),
        hint="`jobrunner languages` lists all of them.",
        right=("languages",),
    ),
    "a language that FLEURS lacks": Case(
        wrong=("submit", "--lang", "br", *TINY),
        hint="Use --data folder:PATH.",
        right=("submit", "--lang", "br", *TINY, "--data", "folder:speech"),
    ),
    "a misspelt setting": Case(
        wrong=_set("train.stesp=3"),
        hint="Did you mean train.steps?",
        right=_set("train.steps=3"),
    ),
    "a setting like no other": Case(
        wrong=_set("zzzzzz=3"),
        hint="`jobrunner config show` lists all.",
        right=("config", "show"),
    ),
    "a group of settings": Case(
        wrong=_set("train=5"),
        hint="`jobrunner config show` lists them.",
        right=("config", "show"),
    ),
    "the version": Case(wrong=_set("version=2"), hint="Leave it out."),
    "a misspelt variable": Case(
        mistake=_variable("JOBRUNNER_TRAIN_STEPS", "3"),
        hint="Did you mean JOBRUNNER_TRAIN__STEPS?",
        repair=lambda: (
            _unset("JOBRUNNER_TRAIN_STEPS")(),
            _variable("JOBRUNNER_TRAIN__STEPS", "3")(),
        ),
    ),
    "a variable like no other": Case(
        mistake=_variable("JOBRUNNER_ZZZZZZ", "3"),
        hint="Unset it; `jobrunner config show` lists the fields that can be set.",
        repair=_unset("JOBRUNNER_ZZZZZZ"),
    ),
    "no such profile": Case(
        wrong=(*CLUSTER, "--profile", "a100"),
        hint="There are a100-80gb, {}.",
        right=(*CLUSTER, "--profile", "a100-80gb"),
    ),
    "a table called profile": Case(
        mistake=lambda: Path("jobrunner.toml").write_text("[profile.x]\nseed = 1\n"),
        hint="A profile itself is a table [profiles.NAME].",
        repair=lambda: Path("jobrunner.toml").write_text("[profiles.x]\nseed = 1\n"),
        right=(*SUBMIT, "--profile", "x"),
    ),
    "a configuration that is there": Case(
        mistake=lambda: Path("jobrunner.toml").touch(),
        wrong=("init",),
        hint="--force replaces it.",
        right=("init", "--force"),
    ),
    "waiting without waiting": Case(
        wrong=(*SUBMIT, "--timeout", "5"), hint="Add --wait or --follow, or leave it out."
    ),
    "again without a number": Case(
        wrong=("render", "--lang", "el", *S3, "--again"),
        hint="Give one.",
        right=("render", "--lang", "el", *S3, "--again", "1"),
    ),
    "nothing to measure in": Case(
        wrong=("evaluate", *TINY),
        hint="Give --lang, such as --lang el,en.",
        right=("evaluate", *TINY, "--lang", "el,en"),
    ),
    "nothing to measure": Case(
        wrong=("evaluate", "--lang", "el", *TINY[2:]),
        hint="Give a run's id, or a model, with --model.",
        right=("evaluate", "--lang", "el", *TINY),
    ),
    "neither a model nor a run": Case(
        wrong=("evaluate", "--lang", "el", "--model", "nothing", *TINY[2:]),
        hint="See `jobrunner models`. `jobrunner list` shows the runs.",
        right=("list",),
    ),
    "examples in csv": Case(
        wrong=("report", "--examples", "1", "-o", "csv"),
        hint="Use a table, -o json or --html.",
        right=("report", "--examples", "1", "-o", "json"),
    ),
    "a watch of json": Case(
        wrong=("list", "--watch", "-o", "json"), hint="Leave out -o.", right=("list",)
    ),
    "a watch elsewhere": Case(
        wrong=("list", "--watch"),
        hint="Leave it out, or watch one run with `jobrunner status --follow`.",
        right=("list",),
    ),
    "a time in words": Case(
        wrong=("list", "--since", "yesterday"),
        hint="Write an age such as 45m, 3h, 2d or 1w, or a date such as {}.",
        right=("list", "--since", "1d"),
    ),
    "a state that no run has": Case(
        wrong=("list", "--status", "done"),
        hint="Choose from {}.",
        right=("list", "--status", "succeeded"),
    ),
    "no run at all": Case(
        wrong=("status",),
        hint="`jobrunner submit --help` shows how to start one.",
        right=("submit", "--help"),
    ),
    "a run that is not there": Case(
        wrong=("status", "el-whisper-tiny-00000000"),
        hint="`jobrunner list` shows all runs.",
        right=("list",),
    ),
    "no id of a run": Case(
        wrong=("status", "../runs"), hint="`jobrunner list` shows them.", right=("list",)
    ),
    "no model to transcribe with": Case(
        wrong=("transcribe", "--model", "A B", str(CLIP)),
        hint="`jobrunner list` shows all runs.",
        right=("list",),
    ),
    "a state that is a file": Case(
        mistake=lambda: (Path("file").write_text(""), _variable("JOBRUNNER_STATE", "file")()),
        hint="Set JOBRUNNER_STATE to a folder, or unset it.",
        repair=_variable("JOBRUNNER_STATE", "state"),
    ),
    "a state that cannot be written": Case(
        mistake=_variable("JOBRUNNER_STATE", "/proc/self/deeper"),
        hint="Set JOBRUNNER_STATE to a folder that you can write.",
        repair=_variable("JOBRUNNER_STATE", "state"),
    ),
    "a kubeconfig that is not there": Case(
        mistake=_variable("KUBECONFIG", "no.yaml"),
        wrong=("list",),
        hint="Correct or unset it, or use --local for this machine.",
        repair=_unset("KUBECONFIG"),
        right=("list",),
    ),
    "no kubeconfig": Case(
        wrong=tuple(word for word in CLUSTER if word != "--dry-run"),
        hint="Set KUBECONFIG, or use --local to run on this machine.",
    ),
}


@pytest.fixture(autouse=True)
def own_environment(here: Path) -> Iterator[None]:
    """Variables that a case sets are gone after it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ENDPOINT_URL_S3", "KUBECONFIG"):
            patch.delenv(name, raising=False)
        before = dict(os.environ)
        yield
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.parametrize("name", CASES)
def test_who_does_what_the_hint_says_succeeds(name: str, jobrunner: Jobrunner, here: Path) -> None:
    follow(CASES[name], jobrunner, here)


def test_a_closed_stdout_can_be_redirected(here: Path) -> None:
    shell = f"{sys.executable} -m jobrunner languages"
    closed = subprocess.run(["sh", "-c", f"{shell} >&-"], capture_output=True, text=True)
    assert closed.returncode
    assert_hint("Redirect it.", closed.stderr)
    subprocess.run(["sh", "-c", f"{shell} > languages.txt"], check=True)
    assert "Greek" in (here / "languages.txt").read_text()


def test_a_backend_is_one_of_those_that_there_are(here: Path) -> None:
    with hinted("There are local and kubernetes.", UsageError):
        sdk.submit(lang="el", storage="s3://speech/runs", backend="here")
    assert config.load(arguments={"lang": "el"}, backend="local").spec()


def test_a_storage_that_may_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        for name, mode in (("closed", 0o555), ("open", 0o777)):
            Path(root, name).mkdir()
            Path(root, name).chmod(mode)
        monkeypatch.setenv("JOBRUNNER_STATE", f"{root}/open")
        if user == 0:
            os.seteuid(65534)  # root may write everywhere
        try:
            with hinted("Name another folder.", SpecError):
                preflight.preflight(_stored(f"{root}/closed"), LOCAL)
            preflight.preflight(_stored(f"{root}/open"), LOCAL)
        finally:
            os.seteuid(user)


def _stored(folder: str) -> RunSpec:
    return builders.spec(model="whisper-tiny", storage=folder, resources__device="cpu")
