"""Transcribes utterances in batches: for evaluations, and for validation while training."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

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
    longest text ends, and a lack of memory shows at once. While the model decodes one, a thread
    reads the next.

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
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    hypotheses: dict[int, Hypothesis] = {}
    seconds = 0.0
    heard = _ahead(model.recipe, dataset, [[utterances[i] for i in batch] for batch in batches])
    try:
        for batch in batches:
            if should_stop():
                raise Interrupted(f"Stopped after {len(hypotheses)} of {len(order)} utterances.")
            hypotheses |= zip(batch, model.decode(next(heard)), strict=True)
            seconds += sum(utterances[i].seconds for i in batch)
            after_batch(len(hypotheses), seconds)
    finally:
        heard.close()
    return [hypotheses[i] for i in range(len(utterances))]


def _ahead(
    recipe: Recipe, dataset: Dataset, batches: Sequence[Sequence[Utterance]]
) -> Generator[Any]:
    """Input of the model for each batch; a thread makes the next one meanwhile.

    An error of the thread is raised where its batch would come.
    """

    def listen(clips: Sequence[Utterance]) -> Any:
        return recipe.listen([dataset.audio(clip) for clip in clips])

    threads = torch.get_num_threads()
    with ThreadPoolExecutor(1, "listen", _on_one_core) as reader:
        # The setting of the new thread is also the one that later threads start with.
        reader.submit(int).result()
        torch.set_num_threads(threads)
        coming: Future[Any] | None = None
        for place, batch in enumerate(batches):
            heard = coming or reader.submit(listen, batch)
            following = batches[place + 1 : place + 2]
            coming = reader.submit(listen, following[0]) if following else None
            yield heard.result()


def _on_one_core() -> None:
    torch.set_num_threads(1)


def fitting(recipe: Recipe, utterances: Sequence[Utterance]) -> list[Utterance]:
    """The utterances that the model can hear whole."""
    return [clip for clip in utterances if clip.seconds <= recipe.longest_seconds]
