"""The training loop's position and history: a checkpoint without weights and optimiser."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from jobrunner.catalog.installed import __version__
from jobrunner.scoring.metrics import METRICS, RATES, Metric

# Names in checkpoints of 0.1.0 → names now.
_RENAMED = {"wer": "rate", "best_wer": "best_rate"}


# Libraries that determine a result.
_LIBRARIES = ("torch", "transformers", "accelerate", "numpy", "safetensors")


def versions() -> dict[str, str]:
    """Version of each library, of Python, and of this project."""
    libraries = {name: version(name) for name in _LIBRARIES}
    return {"jobrunner": __version__, "python": platform.python_version(), **libraries}


@dataclass(kw_only=True)
class TrainState:
    """The loop's own part of a checkpoint. Plain numbers, exact in JSON."""

    step: int = 0
    """Optimiser steps done."""
    epoch: int = 0
    epoch_step: int = 0
    """Position of the next step in its epoch."""
    audio_seconds: float = 0.0
    """Audio trained on so far, repeats counted."""
    validated: int = 0
    """Step of the last validation."""
    metric: str = ""
    """Metric of the validations: a name of `scoring.metrics`."""
    rate: float | None = None
    """Its value in the last validation."""
    best_rate: float | None = None
    best_step: int | None = None
    worse: int = 0
    """Validations since the last gain."""
    stopped_early: bool = False
    resumes: int = 0
    passed_over: int = 0
    """Checkpoints that did not verify, over all resumes."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the attempt's libraries."""
    health: dict[str, Any] = field(default_factory=dict)
    scaling: dict[str, Any] = field(default_factory=dict)
    """The scale of the loss in fp16; empty in another precision."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One record per step: step, epoch, loss (nats a token), gradient norm, learning rate, audio
    seconds; and one per validation: step, metric, rate, and every rate by its name."""

    def judge(self, step: int, metric: Metric, rate: float, patience: int) -> bool:
        """Records a validation; True if none before was better.

        The last of several equal ones is the best, because it has learnt more; patience counts
        only real gains. While as much is wrong as was said, or more, it waits: a model that begins
        to write a language it never heard gets worse by that measure before it gets better.
        """
        lost = metric in RATES and rate >= 1.0
        gained = self.best_rate is None or metric.better(rate, self.best_rate)
        best = gained or rate == self.best_rate
        self.validated, self.metric, self.rate = step, metric.name, rate
        self.worse = 0 if gained else self.worse + (not lost)
        self.stopped_early = bool(patience) and self.worse >= patience
        if best:
            self.best_rate, self.best_step = rate, step
        return best

    def ranked(self) -> list[int]:
        """Steps of the validations, the best first; of equal ones the last, as in `judge`."""
        better = METRICS[self.metric or "wer"].direction
        sign = 1 if better == "lower" else -1
        # Validations of 0.1.0 have a WER and do not name their metric.
        rates = {each["step"]: each.get("rate", each.get("wer")) for each in self.history}
        measured = [(sign * rate, -step) for step, rate in rates.items() if rate is not None]
        return [-step for _, step in sorted(measured)]

    def changed_versions(self) -> str:
        """The versions that differ from those of this process, as text; empty if none do."""
        old, now = self.versions, versions()
        return ", ".join(f"{n} {old.get(n)} → {now[n]}" for n in now if old.get(n) != now[n])

    def last_measures(self) -> dict[str, float]:
        """Loss and learning rate of the last step that had a finite loss; empty before it."""
        steps = (record for record in reversed(self.history) if record.get("loss") is not None)
        last = next((record for record in steps if "learning_rate" in record), None)
        return {name: last[name] for name in ("loss", "learning_rate")} if last else {}

    def to_json(self) -> tuple[bytes, bytes]:
        """The state without its history, and the history as JSON lines."""
        loop = asdict(self)
        history = loop.pop("history")
        lines = "".join(json.dumps(record) + "\n" for record in history)
        return json.dumps(loop, indent=1).encode(), lines.encode()

    @classmethod
    def from_json(cls, state: bytes, history: bytes) -> TrainState:
        """Restores a state from the two results of `to_json`."""
        records = [json.loads(line) for line in history.splitlines()]
        loop = {_RENAMED.get(name, name): value for name, value in json.loads(state).items()}
        return cls(**loop, history=records)
