"""The memory of the device: what goes through the model at a time, and what happens if it is full.

The content of a step does not depend on its micro-batches. So they can be as large as memory
allows, and half as large once it does not, without another result.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from jobrunner.core.models.base import Batch, Recogniser
from jobrunner.errors import OutOfMemory
from jobrunner.spec import RunSpec
from jobrunner.spec.fit import ENOUGH_WINDOWS, optimiser_bytes, recomputes, remedies
from jobrunner.spec.memory import GIB, Cost, Room

# On the CPU larger micro-batches gain nothing, and take memory from others. A family without a cost
# has the same limit.
MOST_SECONDS = 480.0
# Share of a machine's memory for training on the CPU; the rest is for what else runs there, and for
# the processes that load data.
CPU_SHARE = 0.6
_LIMIT = Path("/sys/fs/cgroup/memory.max")


def limit_bytes(model: Recogniser, device: torch.device, ranks: int) -> float:
    """Bytes that this process may take on its device, its weights included.

    On a GPU that is what is free. On the CPU the ranks share what the machine and the container
    (cgroup v2) have at all: it does not change from attempt to attempt, so micro-batches do not
    either, and the last bits of a resumed run are those of an undisturbed one.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        held = sum(each.nbytes for each in model.module.parameters())
        return float(free + unused + held)
    machine = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    # Without cgroup v2, or with the limit `max`, it is the machine's.
    with suppress(OSError, ValueError):
        machine = min(machine, float(_LIMIT.read_text()))
    return CPU_SHARE * machine / ranks


def make_room(
    model: Recogniser, spec: RunSpec, device: torch.device, *, half: bool, ranks: int = 1
) -> Room:
    """Decides on activation checkpointing, and returns the room on the device.

    A CPU is as fast with one window at a time, so for it `auto` means: where not even one fits.

    Args:
        model: the model on its device, before it was trained.
        spec: spec of the run.
        device: device of the model.
        half: True if products are computed in bf16 or fp16.
        ranks: processes that share a CPU.
    """
    resources = spec.resources
    plain = _cost(model, spec, half=half, checkpointing=False)
    capped = device.type == "cpu" or plain is None
    seconds = resources.device_seconds or (MOST_SECONDS if capped else float("inf"))
    wanted = resources.activation_checkpointing
    if plain is None:
        if wanted == "on":
            model.recompute()
        return Room(seconds=seconds)
    room = Room(cost=plain, limit=limit_bytes(model, device, ranks), seconds=seconds)
    enough = 1 if device.type == "cpu" else ENOUGH_WINDOWS
    if not recomputes(wanted, plain, room, enough):
        return room
    model.recompute()
    return replace(room, cost=_cost(model, spec, half=half, checkpointing=True))


def _cost(model: Recogniser, spec: RunSpec, *, half: bool, checkpointing: bool) -> Cost | None:
    """The cost of the model with the optimiser of the spec."""
    cost = model.cost(half=half, checkpointing=checkpointing)
    if cost is None:
        return None
    optimiser = optimiser_bytes(spec.train)
    return replace(cost, weights=replace(cost.weights, optimiser_bytes=optimiser))


def is_full(error: BaseException) -> bool:
    """True if an error says that the device has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The CPU's allocator, and libraries that allocate by themselves, raise errors of no own class.
    said = str(error)
    words = ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(word in said for word in words)


class Memory:
    """Cuts micro-batches to what fits, and learns it when the estimate was wrong.

    Args:
        spec: spec of the run.
        room: room on the device, by estimate.
        log: takes one line for people.
        event: counts an event.
    """

    def __init__(
        self,
        spec: RunSpec,
        room: Room,
        log: Callable[[str], None],
        event: Callable[[str], None],
    ) -> None:
        self.room = room
        self.retries = 0
        """Times that memory ran out."""
        self._spec, self._log, self._event = spec, log, event
        self.joined = False
        """True while other ranks wait for gradients of this one."""
        self._most = float("inf")
        self._trying: Batch | None = None

    def parts(self, batch: Batch) -> list[Batch]:
        """The batch, or its halves and theirs, until each is as small as what fits."""
        rows = len(batch)
        if rows == 1 or batch.nbytes <= self._most:
            return [batch]
        middle = (rows + 1) // 2
        return [*self.parts(batch.part(0, middle)), *self.parts(batch.part(middle, rows))]

    def trying(self, batch: Batch) -> Batch:
        """The batch, noted as the one that memory runs out for, if it does."""
        self._trying = batch
        return batch

    def halve(self) -> None:
        """Learns that the last batch was too large.

        Raises:
            OutOfMemory: it was a single window.
        """
        assert self._trying is not None
        batch, self._trying = self._trying, None
        rows = len(batch)
        if rows == 1:
            raise self.error()
        self.retries += 1
        self._event("out_of_memory")
        middle = (rows + 1) // 2
        self._most = batch.part(0, middle).nbytes
        self._log(f"out of memory with {rows} windows at a time; continuing with {middle}")
        self.release()

    def optimiser_bytes(self, optimiser: torch.optim.Optimizer) -> int:
        """Bytes that the optimiser will take at its first step; none that the CPU has."""
        cost = self.room.cost
        parameters = [each for group in optimiser.param_groups for each in group["params"]]
        if cost is None or optimiser.state or not parameters[0].is_cuda:
            return 0
        return round(cost.weights.trained * cost.weights.optimiser_bytes)

    def release(self) -> None:
        """Gives freed memory back to the device."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def error(self) -> OutOfMemory:
        """The error where even one window does not fit; it names what would."""
        limit, cost = self.room.limit, self.room.cost
        if cost is None:
            return OutOfMemory("Not even one window fits into the device's memory.")
        failed = cost.planned(1, cost.sizes.seconds, cost.sizes.tokens)
        # The estimate says that it fits, and it did not: only what needs less can help.
        limit = min(limit, failed - 1)
        ways = remedies(self._spec, cost.sizes, limit)
        return OutOfMemory(
            f"Not even one window of {cost.sizes.seconds:g} s fits into the "
            f"{self.room.limit / GIB:.1f} GiB that training has on this device.",
            hint=f"Submit it with what fits: {'; '.join(ways)}." if ways else "",
        )

    def described(self) -> str:
        """The room in one line; empty if only seconds count."""
        cost, room = self.room.cost, self.room
        if cost is None:
            return ""
        how = "on" if cost.checkpointing else "off"
        return f"{room.limit / GIB:.1f} GiB for training, activation checkpointing {how}"
