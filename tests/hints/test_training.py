"""Options of training, and sweeps of them, that are refused, and typed as their hints say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.commandline import Jobrunner, jobrunner
from tests.harness.here import here
from tests.hints.case import SUBMIT, Case, follow

__all__ = ["here", "jobrunner"]


def _set(*pairs: str) -> tuple[str, ...]:
    return (*SUBMIT, *(word for pair in pairs for word in ("--set", pair)))


def _sweep(*pairs: str) -> tuple[str, ...]:
    return (*SUBMIT, *(word for pair in pairs for word in ("--sweep", pair)))


CASES = {
    "no end": Case(
        wrong=_set("train.steps=0", "train.epochs=0"),
        hint="Give one of them.",
        right=_set("train.steps=3", "train.epochs=0"),
    ),
    "a misspelt part of the model": Case(
        wrong=_set("train.freeze=model.decoder.layer"),
        hint="Nearest: model.decoder.layers, {}.",
        right=_set("train.freeze=model.decoder.layers"),
    ),
    "a part like none of the model": Case(
        wrong=_set("train.freeze=zzzzzz"),
        hint="Such as model.decoder.embed_positions.weight.",
        right=_set("train.freeze=model.decoder.embed_positions.weight"),
    ),
    "a sweep without values": Case(
        wrong=_sweep("train.learning_rate"),
        hint="Such as --sweep train.learning_rate=1e-5,5e-6.",
        right=_sweep("train.learning_rate=1e-5,5e-6"),
    ),
    "a sweep of a field twice": Case(
        wrong=_sweep("seed=1,2", "seed=3"),
        hint="Put all of its values behind one --sweep.",
        right=_sweep("seed=1,2,3"),
    ),
    "a sweep of one value": Case(
        wrong=_sweep("seed=1"),
        hint="Give two or more, separated by commas.",
        right=_sweep("seed=1,2"),
    ),
    "a sweep of too many values": Case(
        wrong=_sweep("seed=" + ",".join(map(str, range(101)))),
        hint="Give fewer of them.",
        right=_sweep("seed=1,2"),
    ),
    "a sweep of what changes no result": Case(
        wrong=_sweep("resources.workers=1,2"),
        hint="Sweep values that change a result, and each value once.",
        right=_sweep("seed=1,2"),
    ),
    "a sweep of a value twice": Case(
        wrong=_sweep("seed=1,1"),
        hint="Sweep values that change a result, and each value once.",
        right=_sweep("seed=1,2"),
    ),
    "a sweep again": Case(
        wrong=(*_sweep("seed=1,2"), "--again"),
        hint="Give --again a number, or leave it out.",
        right=(*_sweep("seed=1,2"), "--again", "1"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_training_as_the_hint_says_is_taken(name: str, jobrunner: Jobrunner, here: Path) -> None:
    follow(CASES[name], jobrunner, here)
