"""Commands that start nothing: plans, manifests, tables, files."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from jobrunner.catalog.languages import LANGUAGES
from jobrunner.catalog.models import PRESETS
from jobrunner.cli.group import SECTIONS, cli
from tests.harness.commandline import Jobrunner

COMMANDS = [name for section in SECTIONS.values() for name in section]
S3 = ("--storage", "s3://speech/runs")


def test_a_dry_run_shows_the_plan_and_what_it_costs(jobrunner: Jobrunner, tmp_path: Path) -> None:
    answer = jobrunner(
        *("submit", "--lang", "greek", "--model", "whisper-medium", "--eval-lang", "el,en"),
        *("--profile", "a100-80gb", "--gpus", "2", *S3, "--dry-run"),
    )
    assert (answer.code, answer.err) == (0, "")
    assert re.sub(r"[0-9a-f]{8}\n", "DIGEST\n", answer.out, count=1) == (
        "run       el-whisper-medium-DIGEST\n"
        "language  Greek (el)\n"
        "model     whisper-medium, 764 M parameters (openai/whisper-medium)\n"
        "data      fleurs, tested on split test\n"
        "training  2,000 steps of 640 s of audio, learning rate 6.25e-06 after 400 steps of "
        "warm-up, saved every 250 steps\n"
        "stages    prepare → train → evaluate el, en\n"
        "device    2 GPUs NVIDIA-A100-SXM4-80GB in namespace jobrunner\n"
        "storage   s3://speech/runs\n"
        "cost      about 0.7 GPU hours for training, an estimate\n"
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]


def test_a_dry_run_on_the_cpu_promises_no_time(jobrunner: Jobrunner) -> None:
    answer = jobrunner("submit", "--lang", "el", "--local", "--device", "cpu", "--dry-run")
    assert "device    CPU of this machine\n" in answer.out
    assert "cost      no GPU hours; how long it takes on this CPU is not known" in answer.out


def test_where_a_run_runs_does_not_change_its_id(jobrunner: Jobrunner) -> None:
    def run_id(*options: str) -> str:
        answer = jobrunner("submit", "--lang", "el", "--dry-run", *S3, *options)
        return answer.out.split()[1]

    first = run_id()
    assert run_id("--gpus", "4", "-n", "elsewhere", "--eval-lang", "en") == first
    assert run_id("--steps", "1999") != first
    assert run_id("--again", "1") != first


def test_a_model_without_training_is_only_measured(jobrunner: Jobrunner) -> None:
    answer = jobrunner(
        *("evaluate", "--model", "whisper-tiny", "--lang", "el,en", "--dry-run"),
        *("--local", "--device", "cpu"),
    )
    assert answer.code == 0, answer.err
    assert "stages    prepare → evaluate el, en\n" in answer.out


def test_render_prints_the_manifests_that_a_dry_run_speaks_of(jobrunner: Jobrunner) -> None:
    first, second = (jobrunner("render", "--lang", "no", *S3) for _ in range(2))
    assert (first.code, first.err) == (0, "")
    assert first.out == second.out
    documents = list(yaml.safe_load_all(first.out))
    kinds = [document["kind"] for document in documents]
    assert kinds[0] == "ConfigMap"
    assert kinds.count("Job") == 3
    assert json.loads(documents[0]["data"]["run.json"])["lang"] == "no"


def test_models_and_languages_are_listed_in_every_form(jobrunner: Jobrunner) -> None:
    assert jobrunner("models", "-o", "name").out.split() == list(PRESETS)
    assert jobrunner("languages", "-o", "name").out.split() == list(LANGUAGES)
    told = json.loads(jobrunner("models", "medium", "-o", "json").out)
    assert told["version"] == 1
    assert [model["name"] for model in told["models"]] == ["whisper-medium", "whisper-medium.en"]
    told = yaml.safe_load(jobrunner("languages", "norwegian", "-o", "yaml").out)
    assert [language["code"] for language in told["languages"]] == ["nn", "no"]
    assert jobrunner("languages", "Deva").out.split("\n")[1].startswith("hi    Hindi")
    nothing = jobrunner("models", "bert")
    assert (nothing.code, nothing.out) == (0, "")
    assert "hub id" in nothing.err


def test_config_show_tells_where_each_value_comes_from(jobrunner: Jobrunner, here: Path) -> None:
    (here / "jobrunner.toml").write_text("[train]\nsteps = 100\n")
    answer = jobrunner("config", "show", "--model", "whisper-tiny", "--local")
    lines = [re.split(r"  +", line) for line in answer.out.splitlines()]
    assert lines[0] == ["FIELD", "VALUE", "FROM"]
    assert ["model", "whisper-tiny", "--model"] in lines
    assert ["train.steps", "100", "./jobrunner.toml"] in lines
    assert ["train.warmup_steps", "20", "follows from train.steps"] in lines
    told = json.loads(jobrunner("config", "show", "-o", "json").out)
    assert (told["version"], told["backend"]) == (1, "kubernetes")
    assert told["values"]["train.steps"] == {"value": 100, "origin": "./jobrunner.toml"}


def test_init_writes_a_file_once(jobrunner: Jobrunner, here: Path) -> None:
    assert jobrunner("init").out == "jobrunner.toml\n"
    assert jobrunner("config", "show").code == 0
    (here / "jobrunner.toml").write_text("seed = 3\n")
    refused = jobrunner("init")
    assert (refused.code, refused.err) == (
        2,
        "error: jobrunner.toml is there already. --force replaces it.\n",
    )
    assert (here / "jobrunner.toml").read_text() == "seed = 3\n"
    assert jobrunner("init", "--force").code == 0
    assert "# seed = 0" in (here / "jobrunner.toml").read_text()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_the_shell_reads(jobrunner: Jobrunner, shell: str) -> None:
    script = jobrunner("completion", shell).out
    assert "_JOBRUNNER_COMPLETE" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def _completed(monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    from click.shell_completion import BashComplete

    words = line.split(" ")
    complete = BashComplete(cli, {}, "jobrunner", "_JOBRUNNER_COMPLETE")
    return [item.value for item in complete.get_completions(words[:-1], words[-1])]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sub", ["submit"]),
        ("submit --lang e", ["el", "en", "es", "et", "eu"]),
        ("submit --eval-lang el,h", ["el,ha", "el,haw", "el,he"]),
        ("submit --model whisper-t", ["whisper-tiny", "whisper-tiny.en", "whisper-turbo"]),
        ("submit --set train.st", ["train.steps="]),
        ("submit --profile a100", ["a100-80gb", "a100-40gb"]),
        ("status @", ["@latest"]),
        ("completion f", ["fish"]),
    ],
)
def test_the_shell_completes(
    here: Path, monkeypatch: pytest.MonkeyPatch, line: str, expected: list[str]
) -> None:
    assert _completed(monkeypatch, line)[: len(expected)] == expected


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(jobrunner: Jobrunner, name: str) -> None:
    words = [name, "show"] if name == "config" else [name]
    answer = jobrunner(*words, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert re.search(rf"(?m)^ +(eval \"\$\()?jobrunner {' '.join(words)}", answer.out)
    found = cli.get_command(None, name)  # type: ignore[arg-type]
    assert found is not None
    assert found.help is not None
    summary = next(section[name] for section in SECTIONS.values() if name in section)
    assert found.help.splitlines()[0] == summary


def test_doctor_tells_what_is_there_and_what_to_mend(jobrunner: Jobrunner, here: Path) -> None:
    answer = jobrunner("doctor")
    assert answer.code == 0, answer.err
    assert re.search(r"(?m)^ok +Python +3\.", answer.out)
    assert re.search(r"(?m)^ok +core packages +torch ", answer.out)
    (here / "file").touch()
    broken = jobrunner("doctor", "--storage", "file")
    assert broken.code == 1
    assert re.search(r"(?m)^mend +storage ", broken.out)
    assert broken.err == "error: 1 thing to mend before a local run.\n"
    told = json.loads(jobrunner("doctor", "--storage", "file", "-o", "json").out)
    assert [c["name"] for c in told["checks"] if c["verdict"] == "mend"] == ["storage"]
