"""What only a terminal sees: colours, folded lines, questions, a picture that is repainted."""

from __future__ import annotations

import re

import pytest

from tests.harness.commandline import CliHarness
from tests.harness.terminal import on_terminal, pictures, shown

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def colourful(here: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that shows colours."""
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm-256color")


def test_a_followed_run_is_repainted_in_colours(harness: CliHarness) -> None:
    run = harness.start(hold="evaluate-el")
    hold = harness.control / "hold-evaluate-el"

    def release(seen: str) -> None:
        if "evaluate-el" in seen:
            hold.unlink(missing_ok=True)

    code, seen = on_terminal("status", "--follow", run, seeing=release)
    assert code == 0
    assert "\x1b[32mSucceeded" in seen
    assert re.search(r"\x1b\[\d*A", seen), "the cursor goes up to paint over what was there"


def test_a_plan_is_folded_to_the_terminal() -> None:
    typed = ("submit", "--lang", "el", "--storage", "s3://x-y/z", "--dry-run")
    code, seen = on_terminal(*typed, columns=60)
    assert code == 0
    assert "\x1b[1mrun" in seen
    lines = shown(seen)
    assert max(map(len, lines)) <= 60
    assert any(line.startswith(" " * 10) for line in lines)


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_colours_can_be_refused(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "dumb")
    assert "\x1b" not in on_terminal("submit", "--lang", "xx")[1]


def test_delete_asks_first(harness: CliHarness) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    code, seen = on_terminal("delete", run, answer="n\n")
    assert code == 0
    assert f"Delete {run} (Succeeded)?" in seen
    assert "Nothing was deleted." in seen
    assert harness.runner.status(run).state == "Succeeded"
    assert on_terminal("delete", run, answer="y\n")[0] == 0
    assert harness.runner.list() == []


TRAINING = {
    "message": "training",
    "done": 0.34,
    "step": 41,
    "steps": 120,
    "audio_seconds": 738.0,
    "loss": 9.1166,
    "losses": [13.6, 13.2, 12.4, 11.0, 10.1, 9.1],
    "learning_rate": 1.25e-05,
    "metric": "wer",
    "rate": 1.105,
    "best_rate": 1.05,
    "seconds_left": 80.0,
    "resumes": 2,
}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (40, ["train: training · 41/120", "loss 9.117 █▇▆▄▃▁ · rate 1.3e-05"]),
        (
            80,
            [
                "training · 41/120 · 12.3 min of audio · resumed 2×\n",
                "\n  loss 9.117 █▇▆▄▃▁ · rate 1.3e-05 · WER",
            ],
        ),
        (120, ["TRIES", "  loss 9.117 █▇▆▄▃▁ · rate 1.3e-05 · WER 110.5%, best 105.0%"]),
        (200, ["NOW", "1      training · 41/120 · 12.3 min of audio · resumed 2× · loss 9.117 █"]),
    ],
)
def test_a_followed_run_shows_loss_rates_and_time_left_at_any_width(
    harness: CliHarness, columns: int, expected: list[str]
) -> None:
    harness.report("train", **TRAINING)
    run = harness.start(hold="train")
    harness.begun(run, "train")
    hold = harness.control / "hold-train"

    def release(seen: str) -> None:
        if "best 105.0%" in seen:
            hold.unlink(missing_ok=True)

    code, seen = on_terminal("status", "-f", run, columns=columns, seeing=release)
    assert code == 0
    picture = next(each for each in pictures(seen) if "best 105.0%" in each)
    for each in [*expected, "34%", "1m20s", "WER 110.5%, best 105.0%", "resumed 2×"]:
        assert each in picture
    assert max(map(len, picture.splitlines())) <= columns
    assert "…" not in picture


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_status_and_list_fit_the_terminal(harness: CliHarness, columns: int) -> None:
    harness.report("train", **TRAINING)
    run = harness.start(fail="train")
    harness.runner.wait(run, timeout=30)
    code, seen = on_terminal("list", columns=columns)
    assert code == 0
    lines = shown(seen)
    assert max(map(len, lines)) <= columns
    assert lines[0].split()[:2] == ["RUN", "STATUS"] if columns <= 80 else ["RUN", "LANG"]
    assert lines[1].startswith(run)
    assert "Failed" in lines[1]
    assert ("WER 110.5%" in lines[1]) == (columns >= 80)
    assert ("train: train cannot go on, try 1" in lines[1]) == (columns == 200)
    code, seen = on_terminal("status", run, columns=columns)
    assert code == 0
    assert "loss 9.117 █▇▆▄▃▁" in seen
    commands = [line for line in shown(seen) if line.startswith("  jobrunner")]
    assert commands == [f"  jobrunner logs {run}"]
    others = [line for line in shown(seen) if str(harness.storage) not in line]
    assert max(len(line) for line in others if line not in commands) <= max(columns, 55)


def test_a_list_is_repainted_until_ctrl_c(harness: CliHarness) -> None:
    run = harness.start()
    harness.runner.wait(run, timeout=30)
    code, seen = on_terminal("list", "--watch", columns=80, stop=lambda seen: run in seen)
    assert code == 130
    assert "Succeeded" in seen
    assert "Traceback" not in seen


def test_a_diff_that_is_too_wide_for_three_columns_has_three_lines_a_field(
    harness: CliHarness,
) -> None:
    first, second = harness.start("el"), harness.start("sw")
    code, seen = on_terminal("diff", first, second, columns=60)
    assert code == 0
    lines = shown(seen)
    at = lines.index("lang")
    assert lines[at + 1 : at + 3] == [f"  {first}  el", f"  {second}  sw"]
    assert max(map(len, lines)) <= 60
