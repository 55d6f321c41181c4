"""Variables of the environment: fields, the ones of others, and the ones that mean nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobrunner import config
from jobrunner.config.variables import OTHERS, variable
from jobrunner.errors import SpecError, UsageError
from jobrunner.spec.paths import settings
from tests.harness.paths import ROOT


def test_variables_that_are_no_fields_belong_to_others(here: Path) -> None:
    others = {"JOBRUNNER_STATE": "x", "JOBRUNNER_PORT": "tcp://10.0.0.1", "JOBRUNNER_SEED": ""}
    told = config.load(environment=others)
    assert told.values["seed"].origin == "default"
    with pytest.raises(UsageError, match=r"train\.stesp.*JOBRUNNER_TRAIN__STESP.*train\.steps"):
        config.load(environment={"JOBRUNNER_TRAIN__STESP": "3"})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("JOBRUNNER_STEPS", "JOBRUNNER_TRAIN__STEPS"),
        ("JOBRUNNER_LEARNING_RATE", "JOBRUNNER_TRAIN__LEARNING_RATE"),
        ("JOBRUNNER_TRAIN_STEPS", "JOBRUNNER_TRAIN__STEPS"),
        ("JOBRUNNER_LERNING_RATE", "JOBRUNNER_TRAIN__LEARNING_RATE"),
        ("JOBRUNNER_STROAGE", "JOBRUNNER_STORAGE"),
        ("JOBRUNNER_IMAGE", "JOBRUNNER_CLUSTER__IMAGE"),
        ("JOBRUNNER_CLUSTER_STORAGE_ENDPOINT", "JOBRUNNER_CLUSTER__STORAGE_ENDPOINT"),
        ("JOBRUNNER_PROFIL", "JOBRUNNER_PROFILE"),
        ("JOBRUNNER_SCRATCHES", "JOBRUNNER_SCRATCH"),
    ],
)
def test_a_variable_that_means_nothing_is_refused_with_the_one_that_was_meant(
    here: Path, name: str, meant: str
) -> None:
    with pytest.raises(SpecError) as caught:
        config.load(environment={name: "1"})
    assert str(caught.value) == f"{name}: there is no such variable. Did you mean {meant}?"


def test_a_variable_like_no_other_is_refused_too(here: Path) -> None:
    with pytest.raises(SpecError, match=r"^JOBRUNNER_XYZZY: there is no such variable\. Unset it"):
        config.load(environment={"JOBRUNNER_XYZZY": "1"})


def test_what_kubernetes_sets_for_services_is_let_be(here: Path) -> None:
    names = (
        *("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP"),
        *("PORT_80_TCP_ADDR", "METRICS_SERVICE_HOST", "METRICS_PORT_9464_TCP_PROTO"),
    )
    config.load(environment={f"JOBRUNNER_{name}": "1" for name in names})


def test_every_field_has_a_variable_that_sets_it(here: Path) -> None:
    assert variable("train.steps") == "JOBRUNNER_TRAIN__STEPS"
    for path in settings():
        rest = variable(path).removeprefix("JOBRUNNER_")
        assert rest.lower().replace("__", ".") == path


def test_every_variable_that_the_code_reads_is_known(here: Path) -> None:
    sources = [*(ROOT / "jobrunner").rglob("*.py"), *(ROOT / "charts").rglob("*.tpl")]
    text = "\n".join(path.read_text() for path in sources)
    read = set(re.findall(r"(?<![A-Z_])JOBRUNNER_[A-Z_]*[A-Z]", text))
    assert len(read) >= len(OTHERS) - 2
    config.load(environment=dict.fromkeys(read - {"JOBRUNNER_BACKEND", "JOBRUNNER_PROFILE"}, "1"))
