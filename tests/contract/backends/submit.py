"""What every backend promises to those who start and stop runs. The fixture gives the backend."""

from __future__ import annotations

import multiprocessing

import pytest

from jobrunner.errors import UsageError
from jobrunner.spec import names
from jobrunner.status import State
from tests.harness.backend import Bench, states


def test_a_run_goes_through_its_stages_in_order_and_succeeds(bench: Bench) -> None:
    plan = bench.plan("el", "en")

    assert bench.backend.submit(plan) == "created"

    status = bench.ended(plan.run)
    assert status.state is State.SUCCEEDED
    assert set(states(status).values()) == {State.SUCCEEDED}
    order = [event.stage for event in bench.events("begins")]
    # Evaluations may run side by side.
    assert [*order[:2], *sorted(order[2:])] == ["prepare", "train", "evaluate-el", "evaluate-en"]
    assert [stage.progress.done for stage in status.stages] == [1.0] * 4
    assert [stage.attempts for stage in status.stages] == [1] * 4
    assert all(stage.exit_code == 0 for stage in status.stages)
    assert all(
        stage.started and stage.ended and stage.started < stage.ended for stage in status.stages
    )
    assert (status.lang, status.model, status.reason) == ("el", "whisper-tiny", "")


def test_the_spec_lies_in_storage_as_submitted(bench: Bench) -> None:
    plan = bench.plan("el")
    bench.backend.submit(plan)
    bench.ended(plan.run)

    assert bench.stored(names.run_file(plan.run)) == plan.spec.model_dump_json(indent=1)
    assert bench.backend.spec(plan.run) == plan.spec


def test_a_second_submit_adopts_a_live_run_and_a_finished_one(bench: Bench) -> None:
    plan = bench.plan()
    bench.hold("train")
    bench.backend.submit(plan)
    bench.begun("train")

    assert bench.backend.submit(plan) == "adopted"

    bench.release("train")
    bench.ended(plan.run)
    assert bench.backend.submit(plan) == "adopted"
    assert len(bench.events("begins")) == 3


def _submit(bench: Bench) -> str:
    return bench.backend.submit(bench.plan())


def test_two_submits_at_once_make_one_run(bench: Bench) -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        outcomes = pool.map(_submit, [bench] * 4)
        pool.close()
        pool.join()

    assert sorted(outcomes) == ["adopted", "adopted", "adopted", "created"]
    bench.ended(bench.plan().run)
    assert [event.stage for event in bench.events("begins")] == ["prepare", "train", "evaluate-el"]


def test_a_finished_run_with_more_languages_runs_only_what_they_need(bench: Bench) -> None:
    bench.backend.submit(bench.plan("el"))
    run = bench.plan("el").run
    bench.ended(run)

    assert bench.backend.submit(bench.plan("el", "sw")) == "continued"

    status = bench.ended(run)
    assert status.state is State.SUCCEEDED
    began = [event.stage for event in bench.events("begins")]
    assert began == ["prepare", "train", "evaluate-el", "prepare", "evaluate-sw"]
    assert bench.backend.spec(run).evaluate.languages == ("el", "sw")


def test_a_finished_run_asked_for_another_language_keeps_those_it_has(bench: Bench) -> None:
    bench.backend.submit(bench.plan("el"))
    run = bench.plan("el").run
    bench.ended(run)

    bench.backend.submit(bench.plan("sw"))

    assert list(states(bench.ended(run))) == ["prepare", "train", "evaluate-el", "evaluate-sw"]


def test_a_live_run_takes_up_more_languages(bench: Bench) -> None:
    bench.hold("train")
    bench.backend.submit(bench.plan("el"))
    bench.begun("train")

    assert bench.backend.submit(bench.plan("el", "sw")) == "continued"

    bench.release("train")
    status = bench.ended(bench.plan("el").run)
    assert status.state is State.SUCCEEDED
    began = [event.stage for event in bench.events("begins")]
    assert sorted(began) == ["evaluate-el", "evaluate-sw", "prepare", "prepare", "train"]
    assert began.index("evaluate-sw") > len(began) - 1 - began[::-1].index("prepare")


def test_a_failed_attempt_is_repeated(bench: Bench) -> None:
    bench.codes("train", 1, 1)
    plan = bench.plan()
    bench.backend.submit(plan)

    status = bench.ended(plan.run)

    assert status.state is State.SUCCEEDED
    assert {stage.stage: stage.attempts for stage in status.stages} == {
        "prepare": 1,
        "train": 3,
        "evaluate-el": 1,
    }
    assert len({event.attempt for event in bench.events("begins", "train")}) == 3


def test_attempts_come_to_an_end(bench: Bench) -> None:
    bench.codes("train", 1, 1, 1, 1, 1, 1)
    plan = bench.plan(cluster={"attempts": 2})
    bench.backend.submit(plan)

    status = bench.ended(plan.run)

    assert status.state is State.FAILED
    assert states(status) == {
        "prepare": State.SUCCEEDED,
        "train": State.FAILED,
        "evaluate-el": State.WAITING,
    }
    assert status.reason == "train cannot go on, try 2."
    assert status.current
    assert (status.current.exit_code, status.current.attempts) == (1, 2)


@pytest.mark.parametrize("code", [2, 65, 66, 67, 68])
def test_what_a_second_try_would_not_help_is_not_tried_again(bench: Bench, code: int) -> None:
    bench.codes("prepare", code)
    plan = bench.plan()
    bench.backend.submit(plan)

    status = bench.ended(plan.run)

    assert status.state is State.FAILED
    assert [(e.stage, e.what) for e in bench.events()] == [
        ("prepare", "begins"),
        ("prepare", "ends"),
    ]
    assert status.stages[0].exit_code == code


def test_one_language_that_fails_does_not_stop_the_others(bench: Bench) -> None:
    bench.codes("evaluate-el", 65)
    plan = bench.plan("el", "sw")
    bench.backend.submit(plan)

    status = bench.ended(plan.run)

    assert status.state is State.FAILED
    assert states(status)["evaluate-sw"] is State.SUCCEEDED


def test_a_failed_run_goes_on_when_it_is_submitted_again(bench: Bench) -> None:
    bench.codes("train", 65)
    plan = bench.plan()
    bench.backend.submit(plan)
    assert bench.ended(plan.run).state is State.FAILED

    assert bench.backend.submit(plan) == "continued"

    assert bench.ended(plan.run).state is State.SUCCEEDED
    assert [event.stage for event in bench.events("begins")].count("prepare") == 1


def test_cancel_lets_the_stage_save_and_returns_when_it_has_ended(bench: Bench) -> None:
    bench.hold("train")
    plan = bench.plan()
    bench.backend.submit(plan)
    bench.begun("train")

    bench.backend.cancel(plan.run)

    assert [event.what for event in bench.events(stage="train")] == ["begins", "stopped"]
    status = bench.backend.status(plan.run)
    assert status.state is State.CANCELLED
    assert states(status) == {
        "prepare": State.SUCCEEDED,
        "train": State.CANCELLED,
        "evaluate-el": State.CANCELLED,
    }


def test_a_cancelled_run_goes_on_when_it_is_submitted_again(bench: Bench) -> None:
    bench.hold("train")
    plan = bench.plan()
    bench.backend.submit(plan)
    bench.begun("train")
    bench.backend.cancel(plan.run)
    bench.release("train")

    assert bench.backend.submit(plan) == "continued"

    assert bench.ended(plan.run).state is State.SUCCEEDED
    assert [event.stage for event in bench.events("begins")] == [
        *("prepare", "train", "train", "evaluate-el")
    ]


def test_cancel_changes_nothing_of_a_finished_run(bench: Bench) -> None:
    plan = bench.plan()
    bench.backend.submit(plan)
    before = bench.ended(plan.run)

    bench.backend.cancel(plan.run)

    assert bench.backend.status(plan.run) == before


def test_delete_ends_a_live_run_and_keeps_what_is_in_storage(bench: Bench) -> None:
    bench.hold("train")
    plan = bench.plan()
    bench.backend.submit(plan)
    bench.begun("train")

    bench.backend.delete(plan.run)

    assert bench.events("stopped", "train")
    assert bench.backend.list() == []
    with pytest.raises(UsageError):
        bench.backend.status(plan.run)
    assert bench.stored(names.run_file(plan.run))


def test_a_deleted_run_can_be_submitted_anew(bench: Bench) -> None:
    plan = bench.plan()
    bench.backend.submit(plan)
    bench.ended(plan.run)
    bench.backend.delete(plan.run)

    assert bench.backend.submit(plan) == "created"

    assert bench.ended(plan.run).state is State.SUCCEEDED


@pytest.mark.parametrize("verb", ["status", "spec", "cancel", "delete"])
def test_an_unknown_run_is_a_usage_error_in_one_line(bench: Bench, verb: str) -> None:
    with pytest.raises(UsageError, match=r"^There is no run el-nothing-0") as caught:
        getattr(bench.backend, verb)("el-nothing-0")
    assert "\n" not in str(caught.value)


def test_an_unknown_run_has_no_log_and_cannot_be_watched(bench: Bench) -> None:
    with pytest.raises(UsageError):
        list(bench.backend.logs("el-nothing-0"))
    with pytest.raises(UsageError):
        list(bench.backend.watch("el-nothing-0"))


@pytest.mark.parametrize("name", ["../../etc", "a\nb", "", "UPPER", "x" * 200])
def test_a_name_that_cannot_be_a_run_reaches_no_file(bench: Bench, name: str) -> None:
    with pytest.raises(UsageError, match="is no run id"):
        bench.backend.delete(name)
