"""How long a checkpoint stops training, against the time that its upload takes.

    python benchmarks/checkpoint.py                       # 40 MB at 50 MB/s
    python benchmarks/checkpoint.py --parameters 20e6     # 240 MB

Training is stood in for by matrix products on one core; what they lose to the upload beside the
stall is given too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from jobrunner.core.checkpoint.saver import Saver
from jobrunner.core.checkpoint.store import Checkpoints
from jobrunner.storage.local import LocalStorage

RUN = "el-benchmark-00000000"


class ThrottledStorage(LocalStorage):
    """A folder that takes its files at the speed of a network.

    Args:
        root: the folder.
        speed: bytes a second.
    """

    def __init__(self, root: Path, speed: float) -> None:
        super().__init__(root)
        self._speed = speed

    def write_file(self, key: str, path: Path) -> None:
        started = time.perf_counter()
        super().write_file(key, path)
        left = path.stat().st_size / self._speed - (time.perf_counter() - started)
        time.sleep(max(0.0, left))


def product(size: int = 256) -> Callable[[], None]:
    """One small step of work."""
    one, two = torch.randn(size, size), torch.randn(size, size)

    def work() -> None:
        torch.mm(one, two)

    return work


def for_seconds(seconds: float) -> Callable[[], bool]:
    """A condition that holds after a number of seconds."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


def steps_a_second(work: Callable[[], None], until: Callable[[], bool]) -> float:
    """Speed of the work while the condition does not hold."""
    started, steps = time.perf_counter(), 0
    while not until():
        work()
        steps += 1
    return steps / (time.perf_counter() - started)


def main() -> None:
    """Prints a table with the median of several saves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parameters", type=float, default=3.4e6, help="of the model")
    parser.add_argument("--speed", type=float, default=50e6, help="of the storage, bytes/s")
    parser.add_argument("--saves", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = int(given.parameters / 32 / 1024)
    model = {f"layer.{n}": torch.randn(rows, 1024) for n in range(32)}
    moments = {f"{name}/{slot}": t.clone() for name, t in model.items() for slot in ("m", "v")}
    groups = {"model.safetensors": model, "optimizer.safetensors": moments}
    size = sum(tensor.nbytes for group in groups.values() for tensor in group.values())
    work = product()
    stalls, uploads, speeds = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        storage = ThrottledStorage(Path(folder) / "storage", given.speed)
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        checkpoints = Checkpoints(storage, RUN, "a", scratch, print)
        saver = Saver(checkpoints, storage, RUN, scratch, {}, print, retry_seconds=())
        files = {"state.json": b"{}", "history.jsonl": b""}
        # The first save makes the host copies' memory; later ones use it again.
        for step in range(given.saves + 1):
            alone = steps_a_second(work, for_seconds(0.5))
            saver.save(step, groups, files, None)
            beside = steps_a_second(work, lambda: saver.wait(timeout=0))
            stalls.append(saver.stalled_seconds)
            uploads.append(size / saver.speed if saver.speed else 0.0)
            speeds.append(beside / alone)
    stall, upload = statistics.median(stalls[1:]), statistics.median(uploads[1:])
    print("| checkpoint | first stall | stall | upload | stall / upload | speed beside it |")
    print("|-|-|-|-|-|-|")
    print(
        f"| {size / 1e6:.0f} MB | {stalls[0] * 1e3:.0f} ms | {stall * 1e3:.0f} ms | "
        f"{upload:.2f} s | {stall / upload:.1%} | {statistics.median(speeds[1:]):.0%} |"
    )


if __name__ == "__main__":
    main()
