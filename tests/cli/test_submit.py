"""`submit`: the plan that a dry run shows, and what a start tells."""

from __future__ import annotations

import re
from pathlib import Path

from tests.harness.audiofolders import write_folder
from tests.harness.commandline import Jobrunner
from tests.harness.paths import MICRO

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
