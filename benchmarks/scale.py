"""The cost of many runs for the client, on a real API server with simulated GPU nodes.

    make cluster-up
    .venv/bin/python benchmarks/scale.py

A namespace of its own gets what `k8s/base` has: rights, quota, admission policy. 100 languages
are submitted to it, each with one training and three evaluations, and their GPU stages go through
the scheduler to nodes that kwok simulates. Then `jobrunner list` is asked for up to 1,000 runs,
and 1,000 are submitted. Everything is removed at the end.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobrunner.backends.base import Outcome
from jobrunner.backends.kubernetes.api.client import Cluster, Object
from jobrunner.catalog import languages
from jobrunner.chart import manifests
from jobrunner.chart.jobs import is_done
from jobrunner.runner.api import open_runner
from jobrunner.spec import RunSpec, names, parse
from jobrunner.spec.plan import plan
from jobrunner.spec.record import new_record
from jobrunner.states import Progress

ROOT = Path(__file__).parent.parent
CLUSTER = ROOT / "tests/cluster/testcluster/cluster"
LANGUAGES = 100
# Stages of a run that want a GPU: one training, three evaluations.
GPU_STAGES = 4
NODES = LANGUAGES * GPU_STAGES // 8  # of 8 GPUs each
SIZES = (250, 500, 1000)
ROUNDS = 5
# Runs that are submitted to see what one costs.
PROBES = 20
THREADS = 8
# Seconds for all Jobs to go through a scheduler on two busy cores.
PATIENCE = 600.0


class Requests(logging.Handler):
    """Counts answered requests, by what urllib3 logs of each."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._logger = logging.getLogger("urllib3.connectionpool")
        self._logger.setLevel(logging.DEBUG)
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.count += '"%s %s %s" %s' in record.msg

    def end(self) -> int:
        """The number; nothing is counted any more."""
        self._logger.removeHandler(self)
        return self.count


@dataclass(frozen=True)
class Spent:
    """The cost of an operation for the client: wall and user CPU seconds, and API requests."""

    wall: float
    cpu: float
    requests: int


class Timer:
    """The cost since it was created, by this process or by its children."""

    def __init__(self, who: int = resource.RUSAGE_SELF) -> None:
        self._who = who
        self._wall, self._cpu = time.perf_counter(), self._used()

    def _used(self) -> float:
        return resource.getrusage(self._who).ru_utime

    def read(self, requests: int = 0) -> Spent:
        """The cost so far."""
        return Spent(time.perf_counter() - self._wall, self._used() - self._cpu, requests)


def environment() -> dict[str, str]:
    """The variables that reach the test cluster."""
    text = subprocess.check_output(["bash", "-c", f'eval "$({CLUSTER} env)" && env -0'], text=True)
    return dict(line.split("=", 1) for line in text.split("\0") if line)


def jobrunner(*arguments: str, count: bool = False) -> subprocess.CompletedProcess[str]:
    """A command of `jobrunner`, in a process of its own; with `count` it tells its requests."""
    command = [sys.executable, *([__file__] if count else ["-m", "jobrunner"]), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


def counted() -> None:
    """Is `jobrunner`, and writes the number of requests on stderr."""
    requests = Requests()
    try:
        runpy.run_module("jobrunner", run_name="__main__", alter_sys=True)
    finally:
        print(requests.end(), file=sys.stderr)


def kubectl(*arguments: str) -> None:
    """A command of kubectl, without what it says."""
    subprocess.run(["kubectl", *arguments], stdout=subprocess.DEVNULL, check=True)


@contextmanager
def prepared_namespace() -> Iterator[str]:
    """A namespace as k8s/base makes it, with a quota for all GPUs; removed at the end."""
    name = f"scale-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        base = os.path.relpath(ROOT / "k8s/base", Path(folder).resolve())
        kustomization = json.dumps({"namespace": name, "resources": [base]})
        (Path(folder) / "kustomization.yaml").write_text(kustomization)
        kubectl("apply", "--server-side", "--force-conflicts", "-k", folder)
    try:
        hard = {"requests.nvidia.com/gpu": str(LANGUAGES * GPU_STAGES)}
        changes = json.dumps({"spec": {"hard": hard}})
        kubectl("patch", "-n", name, "resourcequota", "jobrunner", "--type=merge", "-p", changes)
        yield name
    finally:
        kubectl("delete", "namespace", name)


def specs(namespace: str, start: int, stop: int) -> Iterator[RunSpec]:
    """The runs of these numbers: one for each language of FLEURS, then another for each.

    The model is named as one of the hub: `prepare` alone knows which languages it has.
    """
    known = [code for code, language in languages.LANGUAGES.items() if language.fleurs]
    for number in range(start, stop):
        lang = known[number % len(known)]
        values = {
            "lang": lang,
            "model": "openai/whisper-medium",
            "storage": "s3://scale/runs",
            "again": number // len(known),
            "evaluate": {"languages": list(dict.fromkeys((lang, "en", "es", "fr")))[:3]},
            "resources": {"gpus": 1, "gpu_product": "NVIDIA-A100-SXM4-80GB"},
            "cluster": {
                "namespace": namespace,
                "storage_endpoint": os.environ["AWS_ENDPOINT_URL_S3"],
                "storage_secret": "storage",
                "tolerations": ["nvidia.com/gpu", "kwok.x-k8s.io/node"],
            },
        }
        yield parse(values)


def submit_all(namespace: str, start: int, stop: int, outcome: Outcome) -> Spent:
    """Submits runs one after the other in this process."""
    requests, timer = Requests(), Timer()
    runner = open_runner("kubernetes", namespace=namespace)
    for spec in specs(namespace, start, stop):
        found = runner.submit(spec).outcome
        assert found == outcome, f"{found} and not {outcome}"
    return timer.read(requests.end())


def submit_by_command(namespace: str, count: int) -> Spent:
    """Submits runs by one command each, one after the other; a command counts its requests."""
    timer, requests = Timer(resource.RUSAGE_CHILDREN), 0
    for spec in specs(namespace, 0, count):
        cluster = spec.cluster.model_dump(include={"storage_endpoint", "storage_secret"})
        done = jobrunner(
            *("submit", "--lang", spec.lang, "--model", spec.model, "--storage", spec.storage),
            *("--eval-lang", ",".join(spec.evaluation_languages), "--again", str(spec.again)),
            *("--namespace", namespace),
            *(f"--set=cluster.{key}={value}" for key, value in cluster.items()),
            count=True,
        )
        requests += int(done.stderr.split()[-1])
    return timer.read(requests)


def submit_row(how: str, count: int, spent: Spent) -> None:
    """Prints a row of the table of submits."""
    each = f"{spent.cpu / count * 1e3:.0f} | {spent.requests / count:.1f}"
    print(f"| {how} | {count} | {spent.wall:.1f} | {each} |", flush=True)


def schedule(cluster: Cluster, namespace: str) -> None:
    """Releases all GPU stages at once, as their runs would one by one, and waits for their end."""
    timer = Timer()
    jobs, _ = cluster.list("Job", namespace)
    held = [job["metadata"]["name"] for job in jobs if job["spec"].get("suspend")]
    free = {"spec": {"suspend": False}}
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda name: cluster.patch("Job", namespace, name, free), held))
    while True:
        jobs, _ = cluster.list("Job", namespace)
        done = sum(map(is_done, jobs))
        if done >= len(held):
            break
        assert timer.read().wall < PATIENCE, f"{done} of {len(held)} Jobs are done"
        time.sleep(1.0)
    print(f"{len(held)} GPU stages on {NODES} nodes: {timer.read().wall:.0f} s.", flush=True)


def make(cluster: Cluster, namespace: str, start: int, stop: int) -> None:
    """Makes runs quicker than a submit does, with all stages held back and progress on each."""
    progress = Progress(done=0.5, step=500, steps=1000, loss=0.5, seconds_left=600.0)
    progress = progress.model_copy(update={"metric": "wer", "rate": 0.3})
    annotations = {names.DETAILS_ANNOTATION: progress.model_dump_json()}

    def create(objects: list[Object]) -> None:
        owner = cluster.create(objects[0])
        for body in manifests.owned(objects, uid=owner["metadata"]["uid"])[1:]:
            body["spec"]["suspend"] = True
            body["metadata"]["annotations"] = annotations
            cluster.create(body)

    made = specs(namespace, start, stop)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(create, (manifests.manifests(plan(new_record(spec))) for spec in made)))


def list_all(namespace: str, count: int) -> Spent:
    """Lists all runs by the command, several times: the medians."""
    arguments = ("list", "--namespace", namespace)
    done = jobrunner(*arguments, count=True)
    rows, requests = len(done.stdout.splitlines()) - 1, int(done.stderr.split()[-1])
    assert rows == count, f"{rows} rows for {count} runs"
    found = []
    for _ in range(ROUNDS):
        timer = Timer(resource.RUSAGE_CHILDREN)
        jobrunner(*arguments)
        found.append(timer.read())
    wall = statistics.median(each.wall for each in found)
    cpu = statistics.median(each.cpu for each in found)
    return Spent(wall, cpu, requests)


def grow(cluster: Cluster, namespace: str) -> None:
    """The cost of a list, a submit and its repetition among more and more runs."""
    print("\n| runs | `list`, s | its CPU, s | requests | new submit, CPU ms | requests ", end="")
    print("| adopted, CPU ms | requests |\n|---:|---:|---:|---:|---:|---:|---:|---:|")
    for before, size in zip((0, *SIZES), SIZES, strict=False):
        make(cluster, namespace, before, size - PROBES)
        new = submit_all(namespace, size - PROBES, size, "created")
        same = submit_all(namespace, size - PROBES, size, "adopted")
        listed = list_all(namespace, size)
        cells = f"{listed.wall:.2f} | {listed.cpu:.2f} | {listed.requests}"
        for each in (new, same):
            cells += f" | {each.cpu / PROBES * 1e3:.0f} | {each.requests / PROBES:.1f}"
        print(f"| {size} | {cells} |", flush=True)


def measure() -> None:
    """Prints tables in Markdown."""
    cluster = Cluster()
    with prepared_namespace() as namespace:
        grow(cluster, namespace)
    print("\n| submit | runs | wall, s | client's CPU a run, ms | API requests a run |")
    print("|---|---:|---:|---:|---:|")
    with prepared_namespace() as namespace:
        spent = submit_by_command(namespace, LANGUAGES)
        submit_row("one command a run", LANGUAGES, spent)
    with prepared_namespace() as namespace:
        spent = submit_all(namespace, 0, LANGUAGES, "created")
        submit_row("Python, one process", LANGUAGES, spent)
        schedule(cluster, namespace)


def main() -> None:
    """Measures on the test cluster, if it runs."""
    if subprocess.run([CLUSTER, "status"], stdout=subprocess.DEVNULL, check=False).returncode:
        print("Left out: it needs a cluster. Run `make cluster-up` first.")
        return
    os.environ.update(environment())
    subprocess.run([CLUSTER, "fake-nodes", str(NODES)], check=True)
    try:
        with tempfile.TemporaryDirectory() as state:
            os.environ["JOBRUNNER_STATE"] = state  # no runs of this machine
            measure()
    finally:
        subprocess.run([CLUSTER, "fake-nodes", "0"], check=True)


if __name__ == "__main__":
    counted() if sys.argv[1:] else main()
