"""The operations of training: restore, step, validate, save, leave, finish."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Generator
from functools import partial
from typing import Any

from accelerate.utils import broadcast_object_list

from jobrunner.catalog import models
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.checkpoint.saver import Saver
from jobrunner.core.checkpoint.store import Checkpoints, Restored
from jobrunner.core.checkpoint.train_state import TrainState, versions
from jobrunner.core.training import content, export, gradient
from jobrunner.core.training.curve import Curve
from jobrunner.core.training.feed import StepBatches
from jobrunner.core.training.health import Health
from jobrunner.core.training.optimiser import learning_rate, seed_step, set_rate
from jobrunner.core.training.order import Step
from jobrunner.core.training.pace import Pace
from jobrunner.core.training.setup import Setup
from jobrunner.core.training.validation import Validation
from jobrunner.errors import Interrupted

# Seconds before SIGKILL that are kept free for the process to end.
SECONDS_TO_END = 5.0


class Trainer:
    """One attempt at training a run.

    Args:
        context: the stage.
        setup: model, optimiser and data.
    """

    def __init__(self, context: StageContext, setup: Setup) -> None:
        self.context = context
        self.spec = context.spec
        self.setup = setup
        self.state = TrainState(versions=versions())
        self.health = Health(self.spec.train, models.learning_rate(self.spec.model))
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
        self.pace = Pace(self.log)
        self.curve = Curve()
        self._steps: Generator[StepBatches] | None = None
        self._saved_step = 0
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
        """True at every `save_every` steps and at the end."""
        state = self.state
        here = state.step % self.spec.train.save_every == 0 or self.finished
        return here and state.step > self._saved_step

    def restore(self) -> None:
        """Resumes from the newest checkpoint that verifies, or starts from step 0.

        Raises:
            CheckpointError: there are checkpoints, but none can be used.
        """
        restored: list[Restored | None] = [self.checkpoints.restore() if self.setup.first else None]
        broadcast_object_list(restored)
        if restored[0]:
            self._load(restored[0])
        state, train = self.state, self.spec.train
        self._rehearse()
        self._steps = self.setup.feed.steps(state.epoch, state.epoch_step)
        self.context.progress.restart_clock(state.step / train.steps)
        self._report("training")

    def _rehearse(self) -> None:
        """Tries the largest micro-batch on a GPU, whose memory is full at once if it is full.

        The CPU's allocator promises more than there is, so trying would show nothing.
        """
        if line := self.setup.memory.described():
            self.log(line)
        if self.setup.device.type == "cuda" and not self.finished:
            gradient.rehearse(self.setup, self.setup.feed.largest(self.state.epoch))

    def _load(self, restored: Restored) -> None:
        self.state = content.load(self.setup, restored, another=self.spec.again + 1)
        state, now = self.state, versions()
        self.health.load(state.health)
        self.curve.load(state.history)
        self._saved_step = restored.step
        state.resumes += 1
        self.context.progress.event("resume")
        state.passed_over += restored.passed_over
        self.log(f"continuing from the checkpoint of step {state.step}")
        if state.versions != now:
            old = state.versions
            changed = [f"{n} {old.get(n)} → {now[n]}" for n in now if old.get(n) != now[n]]
            self.log(f"other versions than before, last bits may differ: {', '.join(changed)}")
            state.versions = now
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
        with self.pace.waiting():
            step, micro_batches = next(self._steps)
        number = self.state.step + 1
        rate = learning_rate(self.spec.train, number)
        set_rate(self.setup.optimiser, self.setup.groups, rate)
        rank, before = self.setup.accelerator.process_index, self.setup.memory.retries
        seed = partial(seed_step, self.spec.seed, number, rank)
        seed()
        total, weight = gradient.accumulate(self.setup, step, micro_batches, seed)
        total, weight, self._asked_to_stop = gradient.over_ranks(
            self.setup, total, weight, bool(self.context.stop)
        )
        loss, norm = gradient.of_mean(
            self.setup, step, total, weight, self.spec.train.max_grad_norm
        )
        if self.health.accept(number, loss, norm):
            self.setup.optimiser.step()
        else:
            self.context.progress.event("skip")
        self.setup.optimiser.zero_grad(set_to_none=True)
        self._advance(step, loss, norm, rate)
        if retries := self.setup.memory.retries - before:
            self.state.history[-1]["out_of_memory_retries"] = retries
        self.saver.check()

    def _advance(self, step: Step, loss: float, norm: float, rate: float) -> None:
        state = self.state
        seconds = step.samples / self.setup.model.recipe.rate
        state.step += 1
        state.epoch, state.epoch_step = (
            (step.epoch + 1, 0) if step.last else (step.epoch, step.index + 1)
        )
        state.audio_seconds += seconds
        state.history.append(
            {
                "step": state.step,
                "epoch": step.epoch,
                "loss": loss if math.isfinite(loss) else None,
                "gradient_norm": norm if math.isfinite(norm) else None,
                "learning_rate": rate,
                "audio_seconds": state.audio_seconds,
            }
        )
        self.curve.add(state.history[-1]["loss"])
        self.pace.passed(state.step, self.spec.train.steps, loss, rate, seconds)
        self._report("training", loss=state.history[-1]["loss"], learning_rate=rate)

    def validate(self) -> None:
        """Validates the model and records the result; nothing if SIGTERM comes meanwhile."""
        with self.pace.pausing():
            self._report("validating")
            measured = self.validation.measure()
        if measured is None:
            return
        state, metric, rate = self.state, measured.metric, measured.value
        best = state.judge(state.step, metric, rate, self.spec.train.patience)
        state.history.append(
            {"step": state.step, "metric": metric.name, "rate": rate, **measured.others}
        )
        so_far = "best so far" if best else f"best {metric.shown(state.best_rate or 0.0)}"
        self.log(f"step {state.step} · validation {metric.label} {metric.shown(rate)} · {so_far}")
        if state.stopped_early:
            self.log(f"no better {metric.label} in {state.worse} validations: stopping")
        self._report("training")

    def save(self) -> None:
        """Begins to save the state as it is now; returns once it is copied.

        Raises:
            StorageError: the save before this one failed for good.
        """
        self._saved_step = self.state.step
        if not self.setup.first:
            return
        self.state.health = self.health.state()
        with self.pace.saving():
            self.saver.save(
                self.state.step,
                content.tensors_of(self.setup),
                content.files_of(self.state),
                self.state.best_step,
            )

    def leave(self) -> None:
        """Ends the attempt after SIGTERM, with a last checkpoint if there is time.

        Raises:
            Interrupted: always.
        """
        asked = self.context.stop.requested_at or time.monotonic()
        end = asked + self.context.grace_seconds - SECONDS_TO_END
        size = sum(
            t.nbytes for group in content.tensors_of(self.setup).values() for t in group.values()
        )
        if self.state.step > self._saved_step:
            if self.saver.expected_seconds(size) < end - time.monotonic():
                self.save()
            else:
                self.log("too little time is left to save once more")
        if not self.saver.wait(timeout=max(0.0, end - time.monotonic())):
            self.log("the upload did not end in time")
        raise Interrupted(
            f"Stopped after step {self.state.step} of {self.spec.train.steps}.",
            hint="Submit the run again; it continues from its last checkpoint.",
        )

    def finish(self) -> None:
        """Publishes the best model and the history.

        Raises:
            StorageError: the last save failed for good.
        """
        self.saver.wait()
        if self.setup.first:
            # This attempt may have had nothing left to do but the export.
            history = reversed(self.state.history)
            last = next((record for record in history if record.get("loss") is not None), None)
            shown = {name: last[name] for name in ("loss", "learning_rate")} if last else {}
            self._report("exporting", **shown)
            export.publish_best(self.context, self.setup, self.checkpoints, self.state)
            export.free_checkpoints(self.context, self.checkpoints, self.state)
            self.log(self.pace.summary(self.state.audio_seconds))
            self.context.progress.update(message="trained", done=1.0, urgent=True)
        self.setup.accelerator.wait_for_everyone()

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
            done=state.step / train.steps,
            **more,
        )
