"""Transcribes utterances in batches: for evaluations, and for validation while training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jobrunner.core.data.dataset import Dataset
from jobrunner.core.data.layout import Utterance
from jobrunner.core.models.base import Hypothesis, Recipe, Recogniser
from jobrunner.errors import Interrupted


def transcribe(
    model: Recogniser,
    dataset: Dataset,
    utterances: Sequence[Utterance],
    *,
    batch_size: int,
    after_batch: Callable[[int, float], None] = lambda utterances, seconds: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Hypothesis]:
    """Transcribes utterances greedily; returns hypotheses in the order given.

    Batches have utterances of similar length, the longest first: a batch is decoded until its
    longest text ends, and a lack of memory shows at once.

    Args:
        model: a recogniser, set to the language to write.
        dataset: the data set of the utterances.
        utterances: clips that the model can hear whole.
        batch_size: utterances decoded together.
        after_batch: gets the utterances and the seconds of audio decoded so far.
        should_stop: asked before each batch.

    Raises:
        Interrupted: `should_stop` returned True.
        DataError: an utterance is longer than the model's window.
    """
    order = sorted(range(len(utterances)), key=lambda i: (-utterances[i].seconds, i))
    hypotheses: dict[int, Hypothesis] = {}
    seconds = 0.0
    for start in range(0, len(order), batch_size):
        if should_stop():
            raise Interrupted(f"Stopped after {start} of {len(order)} utterances.")
        batch = order[start : start + batch_size]
        heard = model.recipe.listen([dataset.audio(utterances[i]) for i in batch])
        hypotheses |= zip(batch, model.decode(heard), strict=True)
        seconds += sum(utterances[i].seconds for i in batch)
        after_batch(start + len(batch), seconds)
    return [hypotheses[i] for i in range(len(utterances))]


def fitting(recipe: Recipe, utterances: Sequence[Utterance]) -> list[Utterance]:
    """The utterances that the model can hear whole."""
    return [clip for clip in utterances if clip.seconds <= recipe.longest_seconds]
