"""Measures the model while it trains, on a fixed part of the validation split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from accelerate.utils import gather_object

from jobrunner.catalog import languages
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.checkpoint.train_state import TrainState
from jobrunner.core.data.layout import Utterance
from jobrunner.core.models.base import Recipe
from jobrunner.core.training.setup import Setup
from jobrunner.core.transcribe import fitting, transcribe
from jobrunner.errors import DataError, Interrupted
from jobrunner.scoring.metrics import METRICS, RATES, Metric
from jobrunner.scoring.rates import score
from jobrunner.scoring.text import has_text


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The result of a validation."""

    metric: Metric
    """Metric that chooses the best model."""
    value: float
    others: Mapping[str, float] = field(default_factory=dict)
    """Other values for the history, by name."""

    @property
    def loss(self) -> float | None:
        """Mean loss of the clips in nats a token; None if none of them can be trained on."""
        return self.others.get("validation_loss")

    def line(self, state: TrainState) -> str:
        """One line for people, from the state that has judged it."""
        metric = self.metric
        best = state.best_step == state.step
        so_far = "best so far" if best else f"best {metric.shown(state.best_rate or 0.0)}"
        known = self.loss is not None and metric.name != "loss"
        loss = f" · loss {self.loss:.3f}" if known else ""
        shown = f"validation {metric.label} {metric.shown(self.value)}"
        return f"step {state.step} · {shown} · {so_far}{loss}"


class Validation:
    """The validation clips of a run: the same for all its attempts.

    Args:
        context: the stage.
        setup: model and data.
    """

    def __init__(self, context: StageContext, setup: Setup) -> None:
        self._context = context
        self._setup = setup
        spec = context.spec
        self._unit = languages.find(spec.lang).unit
        clips = self._usable(setup.dataset.utterances("validation"))
        if not clips:
            raise DataError("The validation split has no clip that fits the model's window.")
        most = spec.train.validation_utterances
        if len(clips) > most:
            drawn = np.random.default_rng(spec.seed).permutation(len(clips))[:most]
            clips = [clips[place] for place in sorted(drawn.tolist())]
        if setup.model.criterion == "rate" and not any(has_text(clip.text) for clip in clips):
            raise DataError(
                f"None of {len(clips)} utterances of the validation split has a reference text.",
                hint="Check the transcript column of the validation split.",
            )
        self._clips = clips
        self._trainable = _trainable(setup.model.recipe, clips)

    def measure(self) -> Measured | None:
        """Measures the model as it is now; None if SIGTERM comes meanwhile.

        Each rank measures its share. Random numbers that decoding draws disturb nothing, because
        generators are seeded anew for each step.
        """
        decodes = self._setup.model.criterion == "rate"
        with self._setup.accelerator.autocast():
            decoded = self._decoded(self._own(self._clips)) if decodes else None
        if decodes and decoded is None:
            return None
        loss = self.loss()
        if decoded:
            more = {} if loss is None else {"validation_loss": loss}
            return replace(decoded, others={**decoded.others, **more})
        if loss is None:
            return None
        metric = METRICS[self._setup.model.criterion]
        value = math.exp(min(loss, 700.0)) if metric.name == "perplexity" else loss
        return Measured(metric=metric, value=value, others={"validation_loss": loss})

    def loss(self) -> float | None:
        """The mean loss in nats a token, without dropout and masks: one forward pass.

        None if SIGTERM comes meanwhile, or if no clip can be trained on.
        """
        with self._setup.accelerator.autocast():
            return self._unlearnt(self._own(self._trainable))

    def _own(self, clips: list[Utterance]) -> list[Utterance]:
        """This rank's share of the clips."""
        return clips[self._setup.accelerator.process_index :: self._setup.ranks]

    def _usable(self, clips: list[Utterance]) -> list[Utterance]:
        """Clips that the model can hear whole or, for a criterion of loss, can be trained on."""
        recipe = self._setup.model.recipe
        decodes = self._setup.model.criterion == "rate"
        return fitting(recipe, clips) if decodes else _trainable(recipe, clips)

    def _stops(self) -> bool:
        # Several ranks have to agree before they stop; they do after the next step.
        return self._setup.ranks == 1 and bool(self._context.stop)

    def _decoded(self, own: list[Utterance]) -> Measured | None:
        """The leading rate of greedy transcripts."""
        try:
            heard = transcribe(
                self._setup.model,
                self._setup.dataset,
                own,
                batch_size=self._context.spec.evaluate.batch_size,
                should_stop=self._stops,
            )
        except Interrupted:
            return None
        pairs = [(clip.text, one.text) for clip, one in zip(own, heard, strict=True)]
        gathered = gather_object(pairs)
        scores = score(
            [said for said, _ in gathered], [text for _, text in gathered], unit=self._unit
        )
        rates = {metric.name: scores.rate(metric) for metric in RATES}
        return Measured(
            metric=scores.metric,
            value=scores.lead.value,
            others={name: rate.value for name, rate in rates.items() if rate},
        )

    @torch.no_grad()
    def _unlearnt(self, own: list[Utterance]) -> float | None:
        setup, recipe = self._setup, self._setup.model.recipe
        # The logits of a batch take more memory than its decoding.
        at_once = max(1, self._context.spec.evaluate.batch_size // 4)
        total = weight = 0.0
        setup.model.module.eval()
        try:
            for start in range(0, len(own), at_once):
                if self._stops():
                    return None
                clips = own[start : start + at_once]
                sounds = [setup.dataset.audio(clip) for clip in clips]
                items = [
                    recipe.item([clip], [sound]) for clip, sound in zip(clips, sounds, strict=True)
                ]
                batch = recipe.collate(items)
                total += float(setup.model.loss(batch.to(setup.device)))
                weight += batch.weight
        finally:
            setup.model.module.train()
        gathered = gather_object([(total, weight)])
        sums, weights = zip(*gathered, strict=True)
        return sum(sums) / sum(weights) if sum(weights) else None


def _trainable(recipe: Recipe, clips: list[Utterance]) -> list[Utterance]:
    """The clips that the model can be trained on, and so has a loss for."""
    measures = recipe.measure(clips)
    return [
        clip for clip, measure in zip(clips, measures, strict=True) if not isinstance(measure, str)
    ]
