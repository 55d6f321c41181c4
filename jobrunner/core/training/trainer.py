"""The operations of training: restore, step, validate, save, leave, finish."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from functools import partial
from typing import Any

from jobrunner.core.attempt import heartbeat
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.checkpoint import leaving
from jobrunner.core.checkpoint.saver import Saver, size_of
from jobrunner.core.checkpoint.saves import Saves
from jobrunner.core.checkpoint.store import Checkpoints, Restored
from jobrunner.core.checkpoint.train_state import TrainState, versions
from jobrunner.core.training import agreement, content, export
from jobrunner.core.training.curve import Curve
from jobrunner.core.training.feed import StepBatches
from jobrunner.core.training.health import Health
from jobrunner.core.training.optimiser import learning_rate, seed_step, set_rate
from jobrunner.core.training.order import Step
from jobrunner.core.training.pace import Pace
from jobrunner.core.training.schedule import usual_rate
from jobrunner.core.training.setup import Setup
from jobrunner.core.training.step import gradient, update
from jobrunner.core.training.step.scaling import Scaling
from jobrunner.core.training.validation import Validation


class Trainer:
    """One attempt at training a run.

    Args:
        context: the stage.
        setup: model, optimiser and data.
        lowered: times that the learning rate is to be halved.
    """

    def __init__(self, context: StageContext, setup: Setup, *, lowered: int = 0) -> None:
        self.context = context
        self.spec = context.spec
        self.setup = setup
        self.state = TrainState(versions=versions())
        self.health = Health(self.spec.train, usual_rate(context), self.log)
        self.scaling = Scaling(setup, self.spec.seed, self.log)
        self._lowered = lowered
        self.validation = Validation(context, setup)
        self.checkpoints = Checkpoints(
            context.storage,
            context.run,
            context.attempt,
            context.scratch,
            self.log,
            another=self.spec.again + 1,
        )
        self.saver = Saver(
            self.checkpoints,
            context.storage,
            context.run,
            context.scratch,
            {"versions": versions()},
            self.log,
            on_saved=partial(context.progress.event, "checkpoint"),
        )
        self.saves = Saves(self.spec.train)
        self.pace = Pace(self.log)
        self.curve = Curve()
        self._steps: Generator[StepBatches] | None = None
        self._asked_to_stop = False

    def log(self, line: str) -> None:
        """Logs one line for people, on the first rank only."""
        if self.setup.first:
            self.context.log(line)

    @property
    def finished(self) -> bool:
        """True if no step is left to do."""
        return self.state.step >= self.spec.train.steps or self.state.stopped_early

    @property
    def stopping(self) -> bool:
        """True after SIGTERM, on all ranks alike."""
        return bool(self.context.stop) if self.setup.ranks == 1 else self._asked_to_stop

    @property
    def validation_due(self) -> bool:
        """True at every `validate_every` steps and at the end."""
        state = self.state
        here = state.step % self.spec.train.validate_every == 0 or self.finished
        return here and state.step > state.validated

    @property
    def save_due(self) -> bool:
        """True if the first rank is to save; see `Saves.due`."""
        state = self.state
        needed = self.finished or state.validated == state.step
        return self.saves.due(state.step, needed=needed, busy=self.saver.busy)

    def restore(self) -> None:
        """Resumes from the newest checkpoint that verifies, or starts from step 0.

        Raises:
            CheckpointError: there are checkpoints, but none can be used.
        """
        restored = agreement.from_first(self.setup.accelerator, self.checkpoints.restore)
        if restored:
            self._load(restored)
        if self.setup.first:
            self.saver.recall_speed()
        self.saves.resume(self.state.step)
        if self._lowered > self.health.lowered:
            self.health.lowered = self._lowered
            self.state.history.append({"step": self.state.step, "rate_factor": self.health.factor})
        state, train = self.state, self.spec.train
        if line := self.setup.memory.described():
            self.log(line)
        if not self.finished:
            gradient.rehearse_largest(self.setup, state.epoch)
        self._steps = self.setup.feed.steps(state.epoch, state.epoch_step)
        self.context.progress.restart_clock(state.step / train.steps)
        self._report("training")

    def _load(self, restored: Restored) -> None:
        self.state = content.load(self.setup, restored, another=self.spec.again + 1)
        state = self.state
        self.health.load(state.health)
        self.scaling.load(state.scaling)
        self.curve.load(state.history)
        state.resumes += 1
        self.context.progress.event("resume")
        state.passed_over += restored.passed_over
        self.log(f"continuing from the checkpoint of step {state.step}")
        if changed := state.changed_versions():
            self.log(f"other versions than before, last bits may differ: {changed}")
            state.versions = versions()
        self.setup.accelerator.wait_for_everyone()
        if self.setup.first:
            shutil.rmtree(restored.folder, ignore_errors=True)

    def step(self) -> None:
        """Does one optimiser step over all ranks.

        Raises:
            JobrunnerError: the training failed for good.
            StorageError: the last save failed for good.
        """
        assert self._steps is not None  # restore comes first
        heartbeat.beat(heartbeat.STEP_SECONDS)
        with self.pace.waiting():
            step, micro_batches = next(self._steps)
        number = self.state.step + 1
        rate = learning_rate(self.spec.train, number) * self.health.factor
        set_rate(self.setup.optimiser, self.setup.groups, rate)
        seed_step(self.spec.seed, number, self.setup.accelerator.process_index)
        before, fed = self.setup.memory.retries, self.pace.fed(micro_batches)
        total, own = self.scaling.accumulate(number, step, fed)
        total, weight, stop = gradient.over_ranks(self.setup, total, own, bool(self.context.stop))
        measured = gradient.of_mean(self.setup, step, total, weight, self.spec.train.max_grad_norm)
        update.apply(self.setup, *measured)
        loss, norm, self._asked_to_stop = update.read(*measured, stop)
        if not self.health.accept(number, loss, norm):
            self.context.progress.event("skip")
        self._advance(step, loss, norm, rate)
        if retries := self.setup.memory.retries - before:
            self.state.history[-1]["out_of_memory_retries"] = retries
        self.saver.check()

    def _advance(self, step: Step, loss: float, norm: float, rate: float) -> None:
        state = self.state
        seconds = step.samples / self.setup.model.recipe.rate
        state.epoch, state.epoch_step = (
            (step.epoch + 1, 0) if step.last else (step.epoch, step.index + 1)
        )
        state.stepped(step.epoch, seconds, loss=loss, gradient_norm=norm, learning_rate=rate)
        self.curve.add(state.history[-1]["loss"])
        self.pace.passed(state.step, self.spec.train.steps, loss, rate, seconds)
        self._report(
            "training",
            loss=state.history[-1]["loss"],
            learning_rate=rate,
            waiting=self.pace.waiting_share,
        )

    def measure_base(self) -> None:
        """Measures the base model's validation loss, before the first step."""
        if self.state.step or self.health.base is not None:
            return
        heartbeat.beat(heartbeat.LONGEST_SECONDS)
        with self.pace.pausing():
            self.health.base = self.validation.loss()
        if self.health.base is not None:
            self.state.history.append({"step": 0, "validation_loss": self.health.base})

    def validate(self) -> None:
        """Validates the model and records the result; nothing if SIGTERM comes meanwhile."""
        heartbeat.beat(heartbeat.LONGEST_SECONDS)
        with self.pace.pausing():
            self._report("validating")
            measured = self.validation.measure()
        if measured is None:
            return
        state, metric, rate = self.state, measured.metric, measured.value
        # Before it counts as the best: what diverged is nothing to go back to.
        if measured.loss is not None:
            self.health.validated(state.step, measured.loss)
        state.judge(state.step, metric, rate, self.spec.train.patience)
        state.history.append(
            {"step": state.step, "metric": metric.name, "rate": rate, **measured.others}
        )
        self.log(measured.line(state))
        if state.stopped_early:
            self.log(
                f"no better {metric.label} in {state.worse} validations since step "
                f"{state.best_step}: stopping early"
            )
        self._report("training", validation_loss=measured.loss)

    def save(self) -> None:
        """Begins to save the state as it is now; returns once it is copied.

        Raises:
            StorageError: the save before this one failed for good.
        """
        heartbeat.beat(heartbeat.LONGEST_SECONDS)
        self.saves.saved(self.state.step)
        if not self.setup.first:
            return
        self.state.health = self.health.state()
        self.state.scaling = self.scaling.state()
        with self.pace.saving():
            self.saver.save(
                self.state.step,
                content.tensors_of(self.setup),
                content.files_of(self.state),
                self.state.best_step,
                () if self.health.good is None else (self.health.good,),
            )

    def leave(self) -> None:
        """Ends the attempt after SIGTERM, with a last checkpoint if there is time.

        Raises:
            Interrupted: always.
        """
        if self.setup.first:
            size = size_of(content.tensors_of(self.setup))
            unsaved = self.state.step > self.saves.step
            save = self.save if unsaved else None
            leaving.save_once_more(self.context, self.saver, size=size, save=save)
        raise leaving.interrupted(self.state.step, self.spec.train.steps)

    def finish(self) -> None:
        """Publishes the best model and the history, on the first rank; the others need not wait.

        Raises:
            StorageError: the last save failed for good.
        """
        if not self.setup.first:
            return
        heartbeat.beat(heartbeat.LONGEST_SECONDS)
        self.saver.finish()
        self._report("exporting", **self.state.last_measures())
        export.publish_best(self.context, self.setup, self.checkpoints, self.state)
        export.free_checkpoints(self.context, self.checkpoints, self.state)
        self.log(self.pace.summary(self.state.audio_seconds))
        self.context.progress.update(message="trained", done=1.0, urgent=True)

    def close(self) -> None:
        """Ends the processes that load data."""
        if self._steps:
            self._steps.close()

    def _report(self, message: str, **more: Any) -> None:
        if not self.setup.first:
            return
        state, train = self.state, self.spec.train
        self.context.progress.update(
            message=message,
            step=state.step,
            steps=train.steps,
            audio_seconds=state.audio_seconds,
            metric=state.metric,
            rate=state.rate,
            best_rate=state.best_rate,
            losses=self.curve.values,
            resumes=state.resumes,
            concern=self.health.concern,
            done=state.step / train.steps,
            **more,
        )
