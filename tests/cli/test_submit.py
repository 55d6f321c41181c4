"""`submit`: the plan that a dry run shows, and what a start tells."""

from __future__ import annotations

import re
from pathlib import Path

from tests.harness.audiofolders import write_folder
from tests.harness.commandline import CliHarness, Jobrunner
from tests.harness.paths import EXAMPLES, MICRO

LOCAL = ("--local", "--device", "cpu")
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
        "training  8 epochs, 2,000 steps at most, 640 s of audio a step, learning rate 6.25e-06 "
        "after a warm-up, saved every 250 steps at most, stops after 3 validations without a gain\n"
        "stages    prepare → train → evaluate el, en\n"
        "device    2 GPUs NVIDIA-A100-SXM4-80GB in namespace jobrunner\n"
        "memory    about 40 of 79 GiB on each GPU, activation checkpointing off, at least 11 "
        "windows at a time\n"
        "storage   s3://speech/runs\n"
        "cost      at most 0.6 GPU hours for training, an estimate\n"
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]


def test_the_plan_says_how_long_a_training_on_a_folder_will_be(jobrunner: Jobrunner) -> None:
    def training(*options: str) -> str:
        answer = jobrunner(
            *("submit", *LOCAL, "--lang", "el", "--model", str(EXAMPLES / "whisper-micro")),
            *("--data", f"folder:{EXAMPLES / 'speech'}", "--dry-run", *options),
        )
        assert answer.code == 0, answer.err
        return next(line for line in answer.out.splitlines() if line.startswith("training"))

    rest = "saved every 2 steps, stops after 3 validations without a gain"
    assert training() == (
        "training  about 16 steps of 640 s of audio (8 epochs of 17 min), learning rate 3.75e-05 "
        f"after 3 steps of warm-up, {rest}"
    )
    assert training("--epochs", "0.5").startswith("training  about 1 step of 640 s of audio (0.5")
    assert training("--steps", "10") == (
        "training  10 steps of 640 s of audio, learning rate 3.75e-05 after 2 steps of warm-up, "
        "saved every 10 steps"
    )
    both = training("--steps", "10", "--epochs", "30")
    assert "10 steps of 640 s of audio, the most, for fewer than 30 epochs of 17 min" in both


def test_what_is_frozen_costs_less_and_what_is_not_known_is_said(jobrunner: Jobrunner) -> None:
    def cost(*options: str) -> str:
        answer = jobrunner(
            *("submit", "--lang", "el", "--profile", "a100-40gb", "--dry-run", *S3, *options)
        )
        return answer.out.splitlines()[-1].removeprefix("cost").strip()

    large = ("--model", "openai/whisper-large-v3", "--steps", "4000")
    assert cost(*large) == "about 2.4 GPU hours for training, an estimate"
    frozen = cost(*large, "--set", "train.freeze_encoder=yes")
    assert frozen == "about 1.1 GPU hours for training, an estimate"
    assert cost("--epochs", "3") == "no estimate is known before the speech is prepared"
    assert cost("--model", "someone/whisper") == "no estimate is known for a model without a preset"


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


def test_submit_tells_the_run_on_stdout_and_ends_with_what_to_type(
    jobrunner: Jobrunner, here: Path
) -> None:
    (here / "speech").mkdir()
    (here / "speech/metadata.csv").write_text(
        "file_name,sentence,client_id,split\n"
        + "".join(f"{n}.wav,καλημέρα {n},s{n},{s}\n" for n, s in enumerate(["train", "test"] * 3))
    )
    for number in range(6):
        (here / f"speech/{number}.wav").write_bytes(b"RIFF, and no audio %d" % number + bytes(40))
    options = ("--lang", "el", "--data", "speech", "--local", "--device", "cpu", "--wait")
    answer = jobrunner("submit", *options, "--model", str(MICRO))
    run = answer.out.strip()
    assert run, answer.err
    assert re.fullmatch(r"el-whisper-micro-[0-9a-f]{8}", run)
    assert answer.code == 1
    assert f"run       {run}\n" in answer.err
    assert "\nStarted.\n" in answer.err
    *_, last = answer.err.splitlines()
    assert last.startswith(f"error: {run} failed: prepare: ")


def test_the_plan_shows_how_many_clips_each_split_gets_of_how_many_rows(
    jobrunner: Jobrunner, here: Path
) -> None:
    rows = [
        (f"{split}/{n}.mp3", f"Πρόταση {n} {split[:2]}", split)
        for split, count in (("train", 60), ("test", 4), ("other", 2))
        for n in range(count)
    ]
    write_folder(here / "speech", rows, header=("file_name", "sentence", "split"))
    (here / "speech/train/5.mp3").unlink()
    options = ("--lang", "el", "--data", "folder:speech", "--local", "--device", "cpu", "--dry-run")
    answer = jobrunner("submit", *options, "--model", str(MICRO))
    assert answer.code == 0
    assert (
        "\nclips     56 train, 3 validation (held out), 4 test of 66 rows; "
        "left out: 2 in split other, 1 missing\n"
    ) in answer.out
    assert answer.err.startswith("warning: el: 1 of 64 audio files is missing, such as ")


def test_again_without_a_number_takes_the_next_that_is_free(
    jobrunner: Jobrunner, harness: CliHarness
) -> None:
    place = ("--storage", str(harness.storage))
    # Steps and rates as the harness gives them, which starts the spec as it is.
    like = ("--steps", "2000", "--set", "train.warmup_steps=500", "--learning-rate", "1.25e-5")
    options = ("--lang", "el", "--model", "whisper-tiny", *LOCAL, *place, *like)
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    first, second, third = (
        jobrunner("submit", *options, *again, "--dry-run").out.split()[1]
        for again in ((), ("--again", "1"), ("--again", "2"))
    )
    assert first == run
    for again in (("--again", "--seed", "0"), ("--seed", "0", "--again")):
        answer = jobrunner("submit", *options, *again, "--dry-run")
        assert answer.out.split()[1] == second
        assert answer.err == "--again 1 is the next free number.\n"
    spec = harness.runner.numbered(harness.runner.record(run).spec)
    assert harness.runner.submit(spec).run == second
    harness.runner.wait(second, timeout=30)
    # A deleted run still has checkpoints in storage, so its number is taken.
    harness.runner.delete(second)
    assert jobrunner("submit", *options, "--again", "--dry-run").out.split()[1] == third
    wrong = jobrunner("submit", *options, "--again", "x", "--dry-run")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("error: again: 'x' is not a whole number (from --again).")


def test_again_without_a_number_is_for_submit_alone(jobrunner: Jobrunner) -> None:
    for typed in (("render", "--lang", "el", *S3), ("config", "show")):
        answer = jobrunner(*typed, "--again")
        assert (answer.code, answer.out) == (2, "")
        assert answer.err == "error: --again: only `submit` finds the next number. Give one.\n"
