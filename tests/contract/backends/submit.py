"""What every backend promises to those who start and stop runs."""

from __future__ import annotations

import pytest

from jobrunner.errors import UnknownRun, UsageError
from jobrunner.spec import keys
from jobrunner.spec.record import write_record
from jobrunner.states import State
from tests.harness.backend import Harness, states


class SubmitContract:
    """Tests of a backend; `harness` is the fixture of whoever runs them."""

    def test_a_run_goes_through_its_stages_in_order_and_succeeds(self, harness: Harness) -> None:
        plan = harness.plan("el", "en")

        assert harness.backend.submit(plan) == "created"

        status = harness.ended(plan.run)
        assert status.state is State.SUCCEEDED
        assert set(states(status).values()) == {State.SUCCEEDED}
        order = harness.began()
        # Evaluations may run side by side.
        later = sorted(order[2:])
        assert [*order[:2], *later] == ["prepare", "train", "evaluate-el", "evaluate-en"]
        assert [stage.progress.done for stage in status.stages] == [1.0] * 4
        assert [stage.attempts for stage in status.stages] == [1] * 4
        assert all(stage.exit_code == 0 for stage in status.stages)
        assert all(
            stage.started and stage.ended and stage.started < stage.ended for stage in status.stages
        )
        assert (status.lang, status.model, status.reason) == ("el", "whisper-tiny", "")

    def test_the_record_is_in_storage_as_submitted(self, harness: Harness) -> None:
        plan = harness.plan("el")
        harness.backend.submit(plan)
        harness.ended(plan.run)

        assert harness.stored(keys.run_file(plan.run)) == write_record(plan.record)
        assert harness.backend.record(plan.run) == plan.record

    def test_a_second_submit_adopts_a_live_run_and_a_finished_one(self, harness: Harness) -> None:
        plan = harness.plan()
        harness.hold("train")
        harness.backend.submit(plan)
        harness.begun("train")

        assert harness.backend.submit(plan) == "adopted"

        harness.release("train")
        harness.ended(plan.run)
        assert harness.backend.submit(plan) == "adopted"
        assert len(harness.events("begins")) == 3

    def test_a_finished_run_with_more_languages_runs_only_what_they_need(
        self, harness: Harness
    ) -> None:
        harness.backend.submit(harness.plan("el"))
        run = harness.plan("el").run
        harness.ended(run)

        assert harness.backend.submit(harness.plan("el", "sw")) == "continued"

        status = harness.ended(run)
        assert status.state is State.SUCCEEDED
        assert harness.began() == ["prepare", "train", "evaluate-el", "prepare", "evaluate-sw"]
        assert harness.backend.record(run).spec.evaluate.languages == ("el", "sw")

    def test_a_finished_run_asked_for_another_language_keeps_those_it_has(
        self, harness: Harness
    ) -> None:
        harness.backend.submit(harness.plan("el"))
        run = harness.plan("el").run
        harness.ended(run)

        harness.backend.submit(harness.plan("sw"))

        stages = list(states(harness.ended(run)))
        assert stages == ["prepare", "train", "evaluate-el", "evaluate-sw"]

    @pytest.mark.parametrize("at", ["prepare", "train"])
    def test_a_live_run_takes_up_more_languages(self, harness: Harness, at: str) -> None:
        harness.hold(at)
        harness.backend.submit(harness.plan("el"))
        harness.begun(at)

        assert harness.backend.submit(harness.plan("el", "sw")) == "continued"

        harness.release(at)
        status = harness.ended(harness.plan("el").run)
        assert status.state is State.SUCCEEDED
        began = harness.began()
        assert sorted(began) == ["evaluate-el", "evaluate-sw", "prepare", "prepare", "train"]
        assert began.index("evaluate-sw") > len(began) - 1 - began[::-1].index("prepare")

    def test_a_failed_attempt_is_repeated(self, harness: Harness) -> None:
        harness.codes("train", 1, 1)
        plan = harness.plan()
        harness.backend.submit(plan)

        status = harness.ended(plan.run)

        assert status.state is State.SUCCEEDED
        assert {stage.stage: stage.attempts for stage in status.stages} == {
            "prepare": 1,
            "train": 3,
            "evaluate-el": 1,
        }
        assert len({event.attempt for event in harness.events("begins", "train")}) == 3

    def test_attempts_come_to_an_end(self, harness: Harness) -> None:
        harness.codes("train", 1, 1, 1, 1, 1, 1)
        plan = harness.plan(cluster={"attempts": 2})
        harness.backend.submit(plan)

        status = harness.ended(plan.run)

        assert status.state is State.FAILED
        assert states(status) == {
            "prepare": State.SUCCEEDED,
            "train": State.FAILED,
            "evaluate-el": State.WAITING,
        }
        assert status.reason == "train cannot go on, try 2."
        assert status.current
        assert (status.current.exit_code, status.current.attempts) == (1, 2)

    @pytest.mark.parametrize("code", [2, 65, 66, 67, 68, 69, 70, 71])
    def test_what_a_second_try_would_not_help_is_not_tried_again(
        self, harness: Harness, code: int
    ) -> None:
        harness.codes("prepare", code)
        plan = harness.plan()
        harness.backend.submit(plan)

        status = harness.ended(plan.run)

        assert status.state is State.FAILED
        assert [(e.stage, e.what) for e in harness.events()] == [
            ("prepare", "begins"),
            ("prepare", "ends"),
        ]
        assert status.stages[0].exit_code == code

    def test_one_language_that_fails_does_not_stop_the_others(self, harness: Harness) -> None:
        harness.codes("evaluate-el", 65)
        plan = harness.plan("el", "sw")
        harness.backend.submit(plan)

        status = harness.ended(plan.run)

        assert status.state is State.FAILED
        assert states(status)["evaluate-sw"] is State.SUCCEEDED

    def test_a_failed_run_goes_on_when_it_is_submitted_again(self, harness: Harness) -> None:
        harness.codes("train", 65)
        plan = harness.plan()
        harness.backend.submit(plan)
        assert harness.ended(plan.run).state is State.FAILED

        assert harness.backend.submit(plan) == "continued"

        assert harness.ended(plan.run).state is State.SUCCEEDED
        assert harness.began().count("prepare") == 1

    def test_a_stage_that_misses_a_result_has_the_stages_before_it_repeated(
        self, harness: Harness
    ) -> None:
        harness.codes("evaluate-el", 69)
        plan = harness.plan()
        harness.backend.submit(plan)
        status = harness.ended(plan.run)
        assert status.state is State.FAILED
        assert status.current
        assert (status.current.exit_code, status.current.attempts) == (69, 1)

        assert harness.backend.submit(plan) == "continued"

        assert harness.ended(plan.run).state is State.SUCCEEDED
        assert harness.began() == ["prepare", "train", "evaluate-el"] * 2
        assert harness.backend.submit(plan) == "adopted"

    def test_what_a_submitter_finds_lost_is_made_again_where_it_is_needed(
        self, harness: Harness
    ) -> None:
        harness.codes("train", 65)
        plan = harness.plan()
        harness.backend.submit(plan)
        harness.ended(plan.run)

        assert harness.backend.submit(plan, look=lambda: {"prepare", "train"}) == "continued"

        assert harness.ended(plan.run).state is State.SUCCEEDED
        assert harness.began() == ["prepare", "train", "prepare", "train", "evaluate-el"]
        assert harness.backend.submit(plan, look=lambda: {"prepare"}) == "adopted"
        assert harness.backend.submit(plan, look=lambda: {"train"}) == "continued"
        assert harness.ended(plan.run).state is State.SUCCEEDED
        assert harness.began()[5:] == ["train"]

    def test_a_run_that_begins_is_not_looked_for_in_storage(self, harness: Harness) -> None:
        def look() -> set[str]:
            raise AssertionError("storage was asked")

        plan = harness.plan()
        assert harness.backend.submit(plan, look=look) == "created"
        assert harness.ended(plan.run).state is State.SUCCEEDED

    def test_cancel_lets_the_stage_save_and_returns_when_it_has_ended(
        self, harness: Harness
    ) -> None:
        harness.hold("train")
        plan = harness.plan()
        harness.backend.submit(plan)
        harness.begun("train")

        harness.backend.cancel(plan.run)

        assert [event.what for event in harness.events(stage="train")] == ["begins", "stopped"]
        status = harness.backend.status(plan.run)
        assert status.state is State.CANCELLED
        assert states(status) == {
            "prepare": State.SUCCEEDED,
            "train": State.CANCELLED,
            "evaluate-el": State.CANCELLED,
        }

    def test_a_cancelled_run_goes_on_when_it_is_submitted_again(self, harness: Harness) -> None:
        harness.hold("train")
        plan = harness.plan()
        harness.backend.submit(plan)
        harness.begun("train")
        harness.backend.cancel(plan.run)
        harness.release("train")

        assert harness.backend.submit(plan) == "continued"

        assert harness.ended(plan.run).state is State.SUCCEEDED
        assert harness.began() == ["prepare", "train", "train", "evaluate-el"]

    def test_cancel_changes_nothing_of_a_finished_run(self, harness: Harness) -> None:
        plan = harness.plan()
        harness.backend.submit(plan)
        before = harness.ended(plan.run)

        harness.backend.cancel(plan.run)

        assert harness.backend.status(plan.run) == before

    def test_delete_ends_a_live_run_and_keeps_what_is_in_storage(self, harness: Harness) -> None:
        harness.hold("train")
        plan = harness.plan()
        harness.backend.submit(plan)
        harness.begun("train")

        harness.backend.delete(plan.run)

        assert harness.events("stopped", "train")
        assert harness.backend.list() == []
        with pytest.raises(UsageError):
            harness.backend.status(plan.run)
        assert harness.stored(keys.run_file(plan.run))

    def test_a_deleted_run_can_be_submitted_anew(self, harness: Harness) -> None:
        plan = harness.plan()
        harness.backend.submit(plan)
        harness.ended(plan.run)
        harness.backend.delete(plan.run)

        assert harness.backend.submit(plan) == "created"

        assert harness.ended(plan.run).state is State.SUCCEEDED

    @pytest.mark.parametrize("verb", ["status", "record", "cancel", "delete"])
    def test_an_unknown_run_is_a_usage_error_in_one_line(self, harness: Harness, verb: str) -> None:
        with pytest.raises(UnknownRun, match=r"^There is no run el-nothing-0") as caught:
            getattr(harness.backend, verb)("el-nothing-0")
        assert "\n" not in str(caught.value)

    def test_an_unknown_run_has_no_log_and_cannot_be_watched(self, harness: Harness) -> None:
        with pytest.raises(UsageError):
            list(harness.backend.logs("el-nothing-0"))
        with pytest.raises(UsageError):
            list(harness.backend.watch("el-nothing-0"))

    @pytest.mark.parametrize("name", ["../../etc", "a\nb", "", "UPPER", "x" * 200])
    def test_a_name_that_cannot_be_a_run_reaches_no_file(self, harness: Harness, name: str) -> None:
        with pytest.raises(UsageError, match="is not a run id"):
            harness.backend.delete(name)
