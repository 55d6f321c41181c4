"""The estimate of a training, and the page of hours that is made from it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from jobrunner import config
from jobrunner.cli.options import FIELDS
from jobrunner.config import Flag
from jobrunner.spec import RunSpec, schedule
from jobrunner.spec.estimate import estimate, usual_rate
from tests.builders import spec
from tests.harness.paths import ROOT

PAGE = (ROOT / "docs/training.md").read_text()
PATHS = {option: path for option, path, _, _ in FIELDS}
HOUR = 3600.0
# Speech in hours, options, steps, and a time for each place.
ROW = re.compile(r"^\| ([\d,]+) h \| `(.+?)` \| ([\d,]+) \| (.+) \|$", re.MULTILINE)
PLACES = (("l4", 1), ("a100-80gb", 1), ("a100-80gb", 8))


def _typed(options: str, profile: str) -> RunSpec:
    """The spec of a submit with these options."""
    words = shlex.split(options)
    pairs = zip(words[::2], words[1::2], strict=True)
    flags = [Flag(origin="--lang", path="lang", text="el")]
    for option, text in pairs:
        path, value = text.split("=") if option == "--set" else (PATHS[option], text)
        flags.append(Flag(origin=option, path=path, text=value))
    loaded = config.load(flags=flags, profile=profile, backend="kubernetes", environment={})
    return loaded.spec()


def _time(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{max(1, 60 * hours):.0f} min"


@pytest.mark.parametrize("row", ROW.findall(PAGE), ids=lambda row: f"{row[0]} h {row[1]}")
def test_the_page_has_the_hours_that_the_plan_estimates(
    row: tuple[str, str, str, str], here: Path
) -> None:
    hours, options, steps, times = row
    found = []
    for profile, gpus in PLACES:
        size = estimate(_typed(options, profile), float(hours.replace(",", "")) * HOUR)
        assert f"{size.steps:,}" == steps
        assert size.exact
        assert size.gpu_hours is not None
        found.append(_time(size.gpu_hours / gpus))
    assert found == times.split(" | ")


def test_every_choice_of_the_page_can_be_typed_and_has_an_estimate(here: Path) -> None:
    assert len(ROW.findall(PAGE)) == 12
    chosen = re.findall(r"`((?:--model) [^`]+)`", PAGE)
    assert len(chosen) == 22
    for options in chosen:
        assert estimate(_typed(options, "a100-80gb"), HOUR).gpu_hours


def test_an_estimate_before_the_data_are_known_is_the_most() -> None:
    default = spec(train__epochs=8.0, model="whisper-medium")
    unknown, known = estimate(default), estimate(default, 10 * HOUR)
    assert (unknown.steps, unknown.exact) == (2000, False)
    assert (known.steps, known.exact) == (456, True)
    assert unknown.gpu_hours is not None
    assert known.gpu_hours is not None
    assert known.gpu_hours == pytest.approx(unknown.gpu_hours * 456 / 2000)
    endless = estimate(spec(train={"epochs": 8.0, "steps": 0}))
    assert (endless.steps, endless.gpu_hours) == (None, None)


def test_the_hours_are_those_of_every_window_at_a_share_of_the_peak() -> None:
    size = estimate(spec(model="whisper-medium", resources__gpu_product="NVIDIA-L4"))
    windows = 2000 * 640 / 27.6  # 92 % of 30 s
    assert size.gpu_hours == pytest.approx(windows * 4.454 / (121 * 0.3) / HOUR, rel=1e-3)
    assert estimate(spec(model="someone/whisper")).gpu_hours is None
    assert estimate(spec(resources__device="cpu")).gpu_hours is None
    assert estimate(spec(task="evaluate")).gpu_hours is None


def test_the_rate_is_known_before_the_start_unless_only_the_hub_has_the_model() -> None:
    open_rate = {"train__learning_rate": 0.0}
    assert usual_rate(spec(train__learning_rate=3e-5), None) == 3e-5
    assert usual_rate(spec(model="whisper-tiny", **open_rate), None) == 3.75e-5
    assert usual_rate(spec(model="someone/whisper", **open_rate), None) is None
    assert usual_rate(spec(model="/models/mine", **open_rate), 2.5e-5) == 2.5e-5


def test_the_steps_of_an_estimate_are_those_that_training_will_do() -> None:
    default = spec(train__epochs=8.0)
    for hours in (0.1, 3, 30, 300):
        applied = schedule.applied(default.train, seconds=hours * HOUR, rate=1e-5)
        assert estimate(default, hours * HOUR).steps == applied.steps
