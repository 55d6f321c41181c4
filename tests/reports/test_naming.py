"""Runs are told apart by the settings in which they differ."""

from __future__ import annotations

from jobrunner.reports.details import Details, Setting
from jobrunner.reports.naming import differences


def _run(name: str, **settings: str) -> Details:
    defaults = {"train.steps": "2000", "train.learning_rate": "1e-05", "seed": "0"}
    defaults |= {"train.dropout": "0", "train.save_every": "250"}
    given = {path.replace("__", "."): value for path, value in settings.items()}
    values = {**defaults, **given}
    return Details(
        run=name,
        settings=tuple(
            Setting(path=path, value=value, default=defaults[path])
            for path, value in values.items()
        ),
    )


def test_only_what_differs_is_named_and_steps_come_before_the_rest() -> None:
    found = differences(
        [_run("a"), _run("b", train__steps="400", train__dropout="0.1"), _run("c", seed="3")]
    )
    assert found == {
        "a": "steps 2000 · seed 0",
        "b": "steps 400 · seed 0 · dropout 0.1",
        "c": "steps 2000 · seed 3",
    }


def test_runs_with_the_same_text_or_without_a_record_are_left_out() -> None:
    found = differences(
        [
            _run("a"),
            _run("b", train__save_every="10"),
            _run("c", train__steps="5"),
            Details(run="damaged"),
        ]
    )
    assert found == {"c": "steps 5"}
