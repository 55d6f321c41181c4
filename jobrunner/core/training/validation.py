"""Measures the model while it trains, on a fixed part of the validation split."""

from __future__ import annotations

import numpy as np
from accelerate.utils import gather_object

from jobrunner.catalog import languages
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.training.setup import Setup
from jobrunner.core.transcribe import fitting, transcribe
from jobrunner.errors import DataError, Interrupted
from jobrunner.scoring.rates import Scores, score


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
        clips = fitting(setup.whisper, setup.dataset.utterances("validation"))
        if not clips:
            raise DataError("The validation split has no clip that fits the model's window.")
        most = spec.train.validation_utterances
        if len(clips) > most:
            drawn = np.random.default_rng(spec.seed).permutation(len(clips))[:most]
            clips = [clips[place] for place in sorted(drawn.tolist())]
        self._clips = clips

    def measure(self) -> Scores | None:
        """Scores of the model as it is now; None when SIGTERM came meanwhile.

        Each rank decodes its share. Random generators are set anew for each step, so whatever
        decoding draws disturbs nothing.
        """
        context, setup = self._context, self._setup
        rank = setup.accelerator.process_index
        own = self._clips[rank :: setup.ranks]
        # Several ranks have to agree before they stop; they do after the next step.
        alone = setup.ranks == 1
        try:
            with setup.accelerator.autocast():
                texts = transcribe(
                    setup.whisper,
                    setup.dataset,
                    own,
                    batch_size=context.spec.evaluate.batch_size,
                    should_stop=lambda: alone and bool(context.stop),
                )
        except Interrupted:
            return None
        pairs = list(zip(own, texts, strict=True))
        gathered = gather_object(pairs)
        return score(
            [clip.text for clip, _ in gathered],
            [text for _, text in gathered],
            unit=self._unit,
        )
