"""Prometheus metrics of a stage, on a port of its own.

Base units, ratios from 0 to 1, times as timestamps. Labels have few values: language, model and
stage. Ids are only in `jobrunner_run_info`, so that a thousand runs do not make a thousand series
of every metric.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    start_http_server,
)

from jobrunner.catalog.installed import __version__
from jobrunner.spec import names
from jobrunner.spec.plan import kind_of
from jobrunner.spec.record import RunRecord
from jobrunner.states import MEASURES, Progress

LABELS = ("language", "model", "stage")
# Upload of a checkpoint: 0.1 s for a toy on a local disk, minutes for the largest model.
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Metrics:
    """The metrics of one attempt at one stage.

    Args:
        record: the run.
        stage: name of the stage, such as `train`.
        attempt: name of the attempt.
        cause: returns why the attempt before this one ended: `stopped`, `failed` or `killed`.
    """

    def __init__(
        self, record: RunRecord, stage: str, attempt: str, cause: Callable[[], str]
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        spec = record.spec
        self._labels = (spec.lang, names.model_label(spec.model), stage)
        self._cause = cause
        self._trains = kind_of(stage).trains
        self._before = Progress()
        self._progress = self._gauge("progress_ratio", "Share of the stage that is done")
        self._updated = self._gauge(
            "last_progress_timestamp_seconds", "When the stage last made progress, in Unix time"
        )
        self._audio = self._counter(
            "audio_seconds", "Audio that was prepared, trained on or decoded by this attempt"
        )
        self._steps = self._counter("train_steps", "Optimiser steps done by this attempt")
        self._step = self._gauge(
            "train_step", "Optimiser steps done, including those of earlier attempts"
        )
        self._measures = {
            measure.field: self._gauge(measure.gauge, measure.description) for measure in MEASURES
        }
        what = "of the metric that chooses the best model; a share for wer and cer"
        self._validated = self._gauge("train_validation_rate", f"Latest value {what}", "metric")
        self._best = self._gauge("train_best_validation_rate", f"Best value {what}", "metric")
        self._stepped = self._gauge(
            "train_last_step_timestamp_seconds", "When the last step ended, in Unix time"
        )
        self._saved = self._gauge(
            "train_last_checkpoint_timestamp_seconds",
            "When the last checkpoint was committed, in Unix time",
        )
        self._saving = Histogram(
            "jobrunner_train_checkpoint_seconds",
            "Time from a checkpoint's snapshot to its commit",
            LABELS,
            registry=self.registry,
            buckets=BUCKETS,
        )
        self._skipped = self._counter(
            "train_nonfinite_steps", "Steps left out because loss or gradient was not finite"
        )
        self._full = self._counter(
            "train_out_of_memory_retries",
            "Times that memory ran out, and that a step continued with smaller micro-batches",
        )
        self._resumes = self._counter(
            "train_resumes", "Times that training continued from a checkpoint", "cause"
        )
        self._dropped = self._counter(
            "train_dropped_clips", "Clips of the training split that are not trained on", "reason"
        )
        info = Info("jobrunner_run", "Which run this is", registry=self.registry)
        labels = dict(zip(LABELS, self._labels, strict=True))
        info.info({"run": record.run, "attempt": attempt, "version": __version__, **labels})

    def serve(self, port: int) -> Callable[[], None]:
        """Serves the metrics until the returned function is called. Port 0 means any free port."""
        server, thread = start_http_server(port, registry=self.registry)
        self.port = server.server_port

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop

    def observe(self, now: Progress) -> None:
        """Updates the metrics from the progress of the stage."""
        before, self._before = self._before, now
        self._set(self._progress, now.done)
        self._set(self._updated, now.updated)
        # The first progress of training is the step that earlier attempts had reached.
        stepped = now.loss is not None and now.step > before.step
        if stepped:
            self._set(self._stepped, now.updated)
            self._steps.labels(*self._labels).inc(now.step - before.step)
        if stepped or not self._trains:
            gained = max(0.0, now.audio_seconds - before.audio_seconds)
            self._audio.labels(*self._labels).inc(gained)
        for field, gauge in self._measures.items():
            if (value := getattr(now, field)) is not None:
                self._set(gauge, value)
        for gauge, value in ((self._validated, now.rate), (self._best, now.best_rate)):
            # A checkpoint of 0.1.0 does not name the metric of its rates.
            if value is not None and now.metric:
                self._set(gauge, value, now.metric)
        if now.learning_rate is not None:
            self._set(self._step, now.step)

    def count(self, what: str, amount: float, about: str) -> None:
        """Updates the metrics from an event of `ProgressReporter.event`."""
        if what == "checkpoint":
            self._saving.labels(*self._labels).observe(amount)
            self._set(self._saved, time.time())
        elif what == "skip":
            self._skipped.labels(*self._labels).inc(amount)
        elif what == "out_of_memory":
            self._full.labels(*self._labels).inc(amount)
        elif what == "resume":
            self._resumes.labels(*self._labels, self._cause()).inc(amount)
        elif what == "drop":
            self._dropped.labels(*self._labels, about).inc(amount)

    def _set(self, gauge: Gauge, value: float, *more: str) -> None:
        gauge.labels(*self._labels, *more).set(value)

    def _gauge(self, name: str, description: str, *more: str) -> Gauge:
        return Gauge(f"jobrunner_{name}", description, (*LABELS, *more), registry=self.registry)

    def _counter(self, name: str, description: str, *more: str) -> Counter:
        return Counter(f"jobrunner_{name}", description, (*LABELS, *more), registry=self.registry)
