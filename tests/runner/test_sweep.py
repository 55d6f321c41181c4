"""Values become runs of one group, and the best of them is named with how clear it is."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.errors import SpecError, UsageError
from jobrunner.runner import sweep
from jobrunner.runner.prepare import Prepared, prepare
from jobrunner.scoring.rates import score
from jobrunner.scoring.result import Comparison, Result, Settings
from tests import builders

RATE = "train.learning_rate"


def test_texts_become_values_and_values_every_combination() -> None:
    given = sweep.axes([f"{RATE}=1e-5, 5e-6", "train.dropout=0,0.1"])
    assert given == {RATE: ["1e-5", "5e-6"], "train.dropout": ["0", "0.1"]}
    assert sweep.combinations(given) == [
        {RATE: rate, "train.dropout": dropout}
        for rate in ("1e-5", "5e-6")
        for dropout in ["0", "0.1"]
    ]


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["learning_rate"], "'learning_rate' is not KEY=VALUE,VALUE"),
        ([f"{RATE}=1e-5,"], "is not KEY=VALUE,VALUE"),
        (["=1,2"], "is not KEY=VALUE,VALUE"),
        ([f"{RATE}=1,2", f"{RATE}=3"], f"{RATE} is given twice"),
        ([f"{RATE}=1e-5"], "one value makes one run"),
        (["seed=" + ",".join(map(str, range(101)))], "make 101 runs, more than 100"),
    ],
)
def test_what_is_no_sweep_is_refused(texts: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=r"^--sweep: ") as caught:
        sweep.combinations(sweep.axes(texts))
    assert problem in caught.value.message


def test_a_field_that_there_is_not_is_named_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"train\.learning_rat: there is no such key \(--sweep\)"):
        sweep.axes(["train.learning_rat=1,2"])


def _ready(**changes: Any) -> Prepared:
    return prepare(builders.spec(**changes), backend="kubernetes")


def test_the_group_follows_from_the_runs_and_changes_no_id() -> None:
    alone = [_ready(seed=seed) for seed in (1, 2)]
    together = sweep.grouped(alone)
    assert [each.plan.run for each in together] == [each.plan.run for each in alone]
    names = {each.plan.spec.group for each in together}
    assert names == {each.plan.spec.group for each in sweep.grouped(alone[::-1])}
    assert len(names) == 1
    assert names != {each.plan.spec.group for each in sweep.grouped([_ready(), *alone])}
    named = sweep.grouped([_ready(seed=seed, group="mine") for seed in (1, 2)])
    assert {each.plan.spec.group for each in named} == {"mine"}
    assert sweep.varied([each.plan.spec for each in together]) == ["seed"]


def test_values_that_make_no_other_run_are_refused() -> None:
    with pytest.raises(UsageError, match="two of the runs are the same one"):
        sweep.grouped([_ready(resources__gpus=gpus) for gpus in (1, 2)])


def _comparison(run: str, said: list[str], language: str = "el") -> Comparison:
    result = Result(
        run=run,
        which="tuned",
        model="m",
        trained_on="el",
        language=language,
        test_set="fleurs",
        split="test",
        model_digest="",
        data_digest="",
        settings=Settings(language=language, max_utterances=0, precision="fp32", batch_size=1),
        scores=score(REFERENCES[: len(said)], said),
        audio_seconds=1.0,
        decode_seconds=1.0,
        device="cpu",
        finished=0.0,
    )
    return Comparison(run=run, language=language, test_set="fleurs", base=None, tuned=result)


REFERENCES = [f"one two three {number}" for number in range(60)]
RIGHT = list(REFERENCES)
WORSE = [text if n % 20 else "one" for n, text in enumerate(REFERENCES)]
WORST = ["one two"] * 60


def test_the_best_is_named_and_whether_it_is_clear() -> None:
    given = [("c", WORST), ("a", WORSE), ("b", RIGHT)]
    comparisons = [_comparison(run, said) for run, said in given]
    other = _comparison("c", RIGHT, "en")  # better, and not in the language of the run
    found = sweep.best([*comparisons, other])
    assert found is not None
    assert [c.run for c in sweep.ranked([*comparisons, other])] == ["b", "a", "c"]
    assert (found.run, found.second) == ("b", comparisons[1])
    assert found.difference is not None
    assert found.difference.value == pytest.approx(-9 / 240)
    # Three utterances of sixty differ: a resample without any of them is not rare.
    assert not found.clear
    two = sweep.best([comparisons[0], comparisons[2]])
    assert two is not None
    assert (two.run, two.clear) == ("b", True)


def test_runs_that_cannot_be_compared_are_not() -> None:
    assert sweep.best([]) is None
    alone = sweep.best([_comparison("a", RIGHT)])
    assert alone is not None
    assert (alone.second, alone.difference, alone.clear) == (None, None, False)
    fewer = sweep.best([_comparison("a", RIGHT), _comparison("b", WORSE[:50])])
    assert fewer is not None
    assert fewer.second is not None
    assert (fewer.run, fewer.difference) == ("a", None)
