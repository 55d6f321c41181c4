"""Measures the model while it trains, on a fixed part of the validation split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from accelerate.utils import gather_object

from jobrunner.catalog import languages
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.data.layout import Utterance
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

    def measure(self) -> Measured | None:
        """Measures the model as it is now; None if SIGTERM comes meanwhile.

        Each rank measures its share. Random numbers that decoding draws disturb nothing, because
        generators are seeded anew for each step.
        """
        rank, ranks = self._setup.accelerator.process_index, self._setup.ranks
        own = self._clips[rank::ranks]
        with self._setup.accelerator.autocast():
            if self._setup.model.criterion == "rate":
                return self._decoded(own)
            return self._unlearnt(own)

    def _usable(self, clips: list[Utterance]) -> list[Utterance]:
        """Clips that the model can hear whole or, for a criterion of loss, can be trained on."""
        recipe = self._setup.model.recipe
        if self._setup.model.criterion == "rate":
            return fitting(recipe, clips)
        measures = recipe.measure(clips)
        return [
            clip
            for clip, measure in zip(clips, measures, strict=True)
            if not isinstance(measure, str)
        ]

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
    def _unlearnt(self, own: list[Utterance]) -> Measured | None:
        """The mean loss, or the perplexity, without dropout and masks."""
        setup, recipe = self._setup, self._setup.model.recipe
        at_once = self._context.spec.evaluate.batch_size
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
        loss = sum(sums) / sum(weights)
        metric = METRICS[setup.model.criterion]
        value = math.exp(min(loss, 700.0)) if metric.name == "perplexity" else loss
        return Measured(metric=metric, value=value, others={"validation_loss": loss})
