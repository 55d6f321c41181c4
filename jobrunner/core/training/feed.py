"""Brings the windows of each step to the training loop: chosen, read, turned into features.

Workers compute features and labels of whole micro-batches ahead of the loop. What a micro-batch
holds depends on its windows alone, so the number of workers changes no bit of it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader

from jobrunner.core.data.dataset import Dataset, Utterance
from jobrunner.core.models.whisper import Batch, Whisper, collate
from jobrunner.core.training import order
from jobrunner.core.training.order import Clips, Limits, MicroBatch, Order, Ragged, Step
from jobrunner.errors import DataError, JobrunnerError
from jobrunner.spec import RunSpec

MOST_WORKERS = 8


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """Clips of the training split that are not trained on."""

    over_window: int
    """Longer than the model's window."""
    over_tokens: int
    """With more label tokens than the decoder has positions."""

    def __str__(self) -> str:
        return f"{self.over_window} over the window, {self.over_tokens} over the token limit"


class Windows(torch.utils.data.Dataset[Batch | JobrunnerError]):
    """Micro-batches by what they hold: what a worker computes.

    Args:
        dataset: gives audio.
        utterances: those that are trained on.
        whisper: its features and labels; not its weights, so that workers hold no copy.
    """

    def __init__(self, dataset: Dataset, utterances: Sequence[Utterance], whisper: Whisper) -> None:
        self._dataset = dataset
        self._features = whisper.features
        limit = whisper.max_label_tokens
        first, following = map(Ragged, whisper.tokenize([each.text for each in utterances]))
        short = [each.seconds <= whisper.window_seconds for each in utterances]
        few = [length + whisper.overhead_tokens <= limit for length in first.lengths()]
        kept = [row for row in range(len(utterances)) if short[row] and few[row]]
        self.dropped = Dropped(
            over_window=short.count(False),
            over_tokens=sum(not few[row] for row in range(len(few)) if short[row]),
        )
        if not kept:
            raise DataError(
                f"None of {len(utterances)} training clips can be used: {self.dropped}.",
                hint="Cut the recordings into sentences.",
            )
        self._utterances = [utterances[row] for row in kept]
        self._first = Ragged([first[row] for row in kept])
        self._following = Ragged([following[row] for row in kept])
        self._prefix = np.array(whisper.prefix, dtype=np.int32)
        self._end = np.array(whisper.labels([])[-1:], dtype=np.int32)
        self.limits = Limits(
            samples=whisper.features.samples, tokens=limit, overhead_tokens=whisper.overhead_tokens
        )
        self.clips = Clips(
            samples=[round(each.seconds * whisper.features.rate) for each in self._utterances],
            first_tokens=self._first.lengths(),
            next_tokens=self._following.lengths(),
            speakers=[each.speaker for each in self._utterances],
        )

    def __len__(self) -> int:
        return len(self._utterances)

    def __getitem__(self, micro: MicroBatch) -> Batch | JobrunnerError:
        """The batch; an error is returned, since one raised in a worker loses its one-line form."""
        try:
            return self._batch(micro)
        except JobrunnerError as error:
            return error

    def _batch(self, micro: MicroBatch) -> Batch:
        features, labels = [], []
        for window in micro.windows:
            audio = [self._dataset.audio(self._utterances[clip]) for clip in window]
            features.append(self._features(np.concatenate(audio)))
            texts = [self._first[window[0]], *(self._following[clip] for clip in window[1:])]
            labels.append(np.concatenate([self._prefix, *texts, self._end]))
        return collate(features, labels)


class Feed:
    """Steps with their micro-batches, from a position on, without end.

    Args:
        windows: the training split.
        spec: the run.
        window_seconds: of the model; a window costs as much as a full one, whatever it holds.
        rank: of this process.
        ranks: processes that share each step.
        pin: copies batches to memory from which a GPU can fetch them.
    """

    def __init__(
        self,
        windows: Windows,
        spec: RunSpec,
        *,
        window_seconds: float,
        rank: int = 0,
        ranks: int = 1,
        pin: bool = False,
    ) -> None:
        rate = windows.limits.samples / window_seconds
        self._windows = windows
        self._rank, self._ranks, self._pin = rank, ranks, pin
        self._at_once = max(1, int(spec.resources.device_seconds / window_seconds))
        self._workers = worker_count(spec.resources.workers)
        self.order = Order(
            windows.clips,
            windows.limits,
            batch_samples=round(spec.train.batch_seconds * rate),
            pack_probability=spec.train.pack_probability,
            seed=spec.seed,
        )

    def steps(
        self, epoch: int, index: int
    ) -> Generator[tuple[Step, Iterator[tuple[MicroBatch, Batch]]]]:
        """Each step and its micro-batches; these must be taken before the next step.

        Its workers end when the generator is closed.
        """
        planned: deque[tuple[Step, list[MicroBatch]]] = deque()

        def ahead() -> Iterator[MicroBatch]:
            # Runs as far ahead of the loop as the workers do.
            for step in self.order.steps(epoch, index):
                micro = order.share(
                    step, rank=self._rank, ranks=self._ranks, windows_at_once=self._at_once
                )
                planned.append((step, micro))
                yield from micro

        ready = iter(self._loader(ahead()))
        try:
            while True:
                first = _next(ready)
                step, micro = planned.popleft()
                yield step, _one_step(first, ready, micro)
        finally:
            end_workers = getattr(ready, "_shutdown_workers", None)
            if end_workers:
                end_workers()

    def _loader(self, sampler: Iterable[MicroBatch]) -> DataLoader[Batch | JobrunnerError]:
        return DataLoader(
            self._windows,
            batch_size=None,
            sampler=sampler,
            num_workers=self._workers,
            worker_init_fn=_outlive_sigterm,
            pin_memory=self._pin,
            # Without its own generator the loader would draw from the model's.
            generator=torch.Generator(),
        )


def _one_step(
    first: Batch, ready: Iterator[Batch | JobrunnerError], micro: list[MicroBatch]
) -> Iterator[tuple[MicroBatch, Batch]]:
    yield micro[0], first
    for each in micro[1:]:
        yield each, _next(ready)


def _next(ready: Iterator[Batch | JobrunnerError]) -> Batch:
    found = next(ready)
    if isinstance(found, JobrunnerError):
        raise found
    return found


def _outlive_sigterm(worker: int) -> None:
    """Keeps a worker alive when SIGTERM goes to the whole process group.

    torch's own handler ends it then, and the loop would fail between SIGTERM and its checkpoint.
    Only what the loop's process sends counts: it ends its workers so.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def worker_count(asked: int) -> int:
    """Processes that load data: as asked, or one less than the cores, 8 at most."""
    return asked or min(MOST_WORKERS, len(os.sched_getaffinity(0)) - 1)
