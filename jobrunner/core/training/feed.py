"""Feeds the training loop: chooses, reads and collates the items of each step.

Workers make whole micro-batches ahead of the loop. The content of a micro-batch depends only on its
units, so the number of workers does not change a bit of it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias

import torch
from torch.utils.data import DataLoader

from jobrunner.core.data.ahead import ShardsAhead
from jobrunner.core.data.dataset import Dataset, Utterance
from jobrunner.core.data.loading import fitting, worker_count
from jobrunner.core.models.base import Batch, Recipe, Unit
from jobrunner.core.training import order
from jobrunner.core.training.order import MicroBatch, Order, Step
from jobrunner.errors import DataError, JobrunnerError
from jobrunner.spec import RunSpec
from jobrunner.spec.memory import Room

# Bytes of a sample in a batch, at most: as float32. Features of 128 bands take 51 kB a second, less
# than its 16,000 samples would.
BYTES_OF_SAMPLE = 4
# Steps whose shards are planned before a worker takes the first of them.
STEPS_AHEAD = 16

StepBatches: TypeAlias = tuple[Step, Iterator[tuple[MicroBatch, Batch]]]
"""A step, and this rank's micro-batches with their batches."""


class Items(torch.utils.data.Dataset[Batch | JobrunnerError]):
    """Computes the batch of a micro-batch, in a worker.

    Args:
        dataset: the data set, for the audio.
        utterances: training utterances; those that the recipe cannot use are dropped and counted.
        recipe: recipe of the model's family.

    Raises:
        DataError: nothing is left.
    """

    def __init__(self, dataset: Dataset, utterances: Sequence[Utterance], recipe: Recipe) -> None:
        self._dataset = dataset
        self._recipe = recipe
        measured = recipe.measure(utterances)
        reasons = Counter(measure for measure in measured if isinstance(measure, str))
        self.dropped = {reason: reasons[reason] for reason in recipe.drops}
        """Clips that are not trained on, by reason."""
        kept = [row for row, measure in enumerate(measured) if not isinstance(measure, str)]
        if not kept:
            counts = ", ".join(
                f"{self.dropped[name]} {words}" for name, words in recipe.drops.items()
            )
            raise DataError(
                f"None of {len(utterances)} training clips can be used: {counts}.",
                hint="Cut the recordings into sentences.",
            )
        self.utterances = [utterances[row] for row in kept]
        self.measures = [measured[row] for row in kept]

    def __len__(self) -> int:
        return len(self.utterances)

    def ahead(self) -> ShardsAhead | None:
        """Fetcher of shards before they are read; None if they are read in place."""
        return None if self._dataset.in_place else ShardsAhead(self._dataset.fetch)

    def shards(self, units: Iterable[Unit]) -> list[str]:
        """Shards of the clips of units, in the order in which they are read."""
        return [self.utterances[clip].shard for unit in units for clip in unit.clips]

    def __getitem__(self, micro: MicroBatch) -> Batch | JobrunnerError:
        """The batch, or an error: one that a worker raises would lose its one-line form."""
        try:
            return self._batch(micro)
        except JobrunnerError as error:
            return error

    def _batch(self, micro: MicroBatch) -> Batch:
        items = []
        for unit in micro.units:
            clips = [self.utterances[clip] for clip in unit.clips]
            sounds = [self._dataset.audio(clip) for clip in clips]
            items.append(self._recipe.item(clips, sounds, unit))
        return self._recipe.collate(items)


class Feed:
    """Gives steps with their micro-batches, from any position, without end.

    Args:
        items: the training split.
        recipe: recipe of the model's family.
        spec: spec of the run.
        room: what the device takes at a time.
        rank: rank of this process.
        ranks: processes that share each step.
        pin: copies batches to memory from which a GPU can fetch them.
    """

    def __init__(
        self,
        items: Items,
        recipe: Recipe,
        spec: RunSpec,
        *,
        room: Room,
        rank: int = 0,
        ranks: int = 1,
        pin: bool = False,
    ) -> None:
        self._items = items
        self._rank, self._ranks, self._pin = rank, ranks, pin
        self._workers = worker_count(spec.resources.workers, ranks, least=int(pin))
        self._recipe = recipe
        self._packing = recipe.packing(items.utterances, items.measures, spec, room)
        self.order = Order(
            self._packing,
            batch_samples=round(spec.train.batch_seconds * recipe.rate),
            seed=spec.seed,
        )

    def steps(self, epoch: int, index: int) -> Generator[StepBatches]:
        """Each step and its micro-batches; these must be taken before the next step.

        The workers end when the generator is closed.
        """
        planned: deque[tuple[Step, list[MicroBatch]]] = deque()
        shards = self._items.ahead()
        steps = self._coming(epoch, index, shards)
        first_step = next(steps)

        def ahead() -> Iterator[MicroBatch]:
            # Runs as far ahead of the loop as the workers do.
            for step in chain([first_step], steps):
                micro = self._share(step)
                planned.append((step, micro))
                yield from micro

        ready = iter(self._loader(ahead(), self._batch_bytes(first_step)))
        try:
            if shards:
                # After the workers were forked: a fork copies locks without the threads that
                # hold them.
                shards.start()
            while True:
                first = _next(ready)
                step, micro = planned.popleft()
                yield step, _one_step(first, ready, micro)
        finally:
            end_workers = getattr(ready, "_shutdown_workers", None)
            if end_workers:
                end_workers()
            if shards:
                shards.close()

    def _coming(self, epoch: int, index: int, shards: ShardsAhead | None) -> Iterator[Step]:
        """The steps from a position; the shards of those after each one are planned with it."""
        steps = self.order.steps(epoch, index)
        if shards is None:
            yield from steps
            return
        coming: deque[Step] = deque()
        for step in steps:
            shards.plan(self._items.shards(step.units[self._rank :: self._ranks]))
            coming.append(step)
            if len(coming) > STEPS_AHEAD:
                shards.reached()
                yield coming.popleft()

    def _share(self, step: Step) -> list[MicroBatch]:
        return order.share(step, self._packing, rank=self._rank, ranks=self._ranks)

    def largest(self, epoch: int) -> Batch:
        """The batch of an epoch, of those of this rank, that takes most room.

        Raises:
            JobrunnerError: its audio cannot be read.
        """
        shares = (self._share(step) for step in self.order.epoch(epoch))
        batch = self._items[max((micro for own in shares for micro in own), key=self._taken)]
        if isinstance(batch, JobrunnerError):
            raise batch
        return batch

    def _taken(self, micro: MicroBatch) -> tuple[float, int]:
        longest = max(unit.size for unit in micro.units)
        return self._packing.cost(micro.units), longest * len(micro.units)

    def _batch_bytes(self, step: Step) -> float:
        """Bytes of the step's largest micro-batch; those of other steps are much the same."""
        seconds = max(self._packing.cost(micro.units) for micro in self._share(step))
        return seconds * self._recipe.rate * BYTES_OF_SAMPLE

    def _loader(
        self, sampler: Iterable[MicroBatch], batch_bytes: float
    ) -> DataLoader[Batch | JobrunnerError]:
        workers, ahead = fitting(self._workers, batch_bytes, self._ranks)
        return DataLoader(
            self._items,
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            prefetch_factor=ahead if workers else None,
            worker_init_fn=_outlive_sigterm,
            pin_memory=self._pin,
            # Without a generator of its own the loader would draw from the model's.
            generator=torch.Generator(),
        )


def _one_step(
    first: Batch, ready: Iterator[Batch | JobrunnerError], micro: list[MicroBatch]
) -> Iterator[tuple[MicroBatch, Batch]]:
    yield micro[0], first
    for micro_batch in micro[1:]:
        yield micro_batch, _next(ready)


def _next(ready: Iterator[Batch | JobrunnerError]) -> Batch:
    batch = next(ready)
    if isinstance(batch, JobrunnerError):
        raise batch
    return batch


def _outlive_sigterm(worker: int) -> None:
    """Keeps a worker alive when SIGTERM goes to the whole process group.

    torch's own handler would end it, and the loop would fail between SIGTERM and its checkpoint.
    Only a SIGTERM from the loop's process counts, because that is how it ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
