"""The dry run of each preset on each profile is right about memory, and its hints work."""

from __future__ import annotations

import re
import shlex

import pytest

from jobrunner.catalog.gpus import PROFILES
from jobrunner.catalog.models import PRESETS
from tests.harness.commandline import Jobrunner
from tests.harness.hints import assert_hint

SUBMIT = ("submit", "--storage", "s3://bucket/runs", "--dry-run")
OFF = ("--set", "resources.activation_checkpointing=off")


def options(preset: str, profile: str) -> dict[str, str]:
    lang = "en" if preset.endswith(".en") else "el"
    return {"--lang": lang, "--model": preset, "--profile": profile}


def typed(given: dict[str, str], *more: str) -> list[str]:
    return [*SUBMIT, *(word for pair in given.items() for word in pair), *more]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_dry_run_shows_the_memory_or_refuses_with_hints_that_work(
    jobrunner: Jobrunner, profile: str
) -> None:
    for preset in PRESETS:
        for more in ((), OFF):
            given = options(preset, profile)
            answer = jobrunner(*typed(given, *more))
            if answer.code == 0:
                shown = re.search(
                    r"^memory +about (\d+) of (\d+) GiB on each GPU", answer.out, re.MULTILINE
                )
                assert shown
                assert int(shown[1]) <= 0.97 * int(shown[2])
                continue
            assert answer.code == 2
            told = " ".join(answer.err.split())
            assert_hint("What fits: {}.", told)
            ways = told.partition("What fits: ")[2].rstrip(".").split("; ")
            assert ways
            for way in ways:
                follow(jobrunner, given, more, way)


def follow(jobrunner: Jobrunner, given: dict[str, str], more: tuple[str, ...], way: str) -> None:
    """Does as a hint says, and expects a plan with the memory."""
    words = shlex.split(way)
    replaced = dict(zip(words[::2], words[1::2], strict=True)).keys() & given.keys()
    kept = {name: value for name, value in given.items() if name not in replaced}
    before = () if "activation_checkpointing" in way else more
    answer = jobrunner(*typed(kept, *before, *words))
    assert answer.code == 0, (way, answer.err)
    assert "memory    about " in answer.out


def test_the_headline_command_says_what_it_takes(jobrunner: Jobrunner) -> None:
    answer = jobrunner(*typed(options("whisper-large-v3", "a100-40gb")))
    assert "of 39 GiB on each GPU, activation checkpointing on" in answer.out
    refused = jobrunner(*typed(options("whisper-large-v3", "l4")))
    assert refused.code == 2
    assert "whisper-large-v3 needs 27." in refused.err
    unknown = jobrunner(*SUBMIT, "--lang", "el", "--model", "whisper-small")
    assert "memory    at least 5 GiB on each GPU" in unknown.out
    cpu = jobrunner(*SUBMIT, "--lang", "el", "--device", "cpu")
    assert cpu.code == 0
    assert "memory" not in cpu.out
