"""Runs of a real (very small) Whisper as a user submits them: with a configuration, pods and S3."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubernetes import client

from jobrunner import config
from jobrunner.backends.kubernetes.backend import KubernetesBackend
from jobrunner.runner.api import Runner
from jobrunner.spec import keys, names
from jobrunner.storage import Storage, open_storage
from tests.harness.cluster.backend import jobrunner
from tests.harness.waiting import until

if TYPE_CHECKING:
    import torch

from tests.harness.paths import ROOT, STAGES

# Seconds within which anything that is waited for happens, on a busy machine.
SECONDS = 300.0
STEPS = 24
SAVE_EVERY = 4
TOML = """
model = "{root}/examples/whisper-micro"
storage = "{bucket}/runs"
backend = "kubernetes"
[data]
source = "folder:{root}/examples/speech"
[train]
steps = {steps}
warmup_steps = 5
save_every = {save_every}
validate_every = 12
validation_utterances = 4
batch_seconds = 24
[evaluate]
max_utterances = 4
[resources]
device = "cpu"
cpu = "200m"
prepare_cpu = "200m"
memory = "2Gi"
prepare_memory = "2Gi"
scratch = "2Gi"
shared_memory = "256Mi"
[cluster]
namespace = "{namespace}"
image = "{image}"
storage_endpoint = "{endpoint}"
storage_secret = "storage"
"""


@dataclass
class RealRuns:
    """A namespace and a bucket, and the runs in them.

    Those with `hold` are held before steps that a test chooses (see stages/train.py).
    """

    api: client.ApiClient
    namespace: str
    bucket: str
    image: str
    folder: Path
    submits: int = 0
    endpoint: str = field(default_factory=lambda: os.environ.get("AWS_ENDPOINT_URL_S3", ""))

    def __post_init__(self) -> None:
        text = TOML.format(
            bucket=self.bucket,
            root=ROOT,
            steps=STEPS,
            save_every=SAVE_EVERY,
            namespace=self.namespace,
            image=self.image,
            endpoint=self.endpoint,
        )
        (self.folder / "jobrunner.toml").write_text(text)

    @cached_property
    def storage(self) -> Storage:
        return open_storage(f"{self.bucket}/runs", endpoint=self.endpoint)

    def submit(self, *, hold: tuple[int, ...] = (), **fields: str) -> RealRun:
        """Submits another run with the same outcome, as `jobrunner submit` would.

        Args:
            hold: steps before which its training is held.
            fields: of the spec, with `__` for a dot.
        """
        run = RealRun(runs=self, again=self.submits)
        self.submits += 1
        for step in hold:
            run.hold(step)
        run.submit(held=bool(hold), **fields)
        return run


@dataclass
class RealRun:
    """One run, known by its `again` before it has an id."""

    runs: RealRuns
    again: int
    name: str = ""

    def submit(self, *, held: bool, **fields: str) -> None:
        """Submits it, or submits it again."""
        flags = {"lang": "el", "again": f"{self.again}", **fields}
        typed = [
            config.Flag(origin="test", path=path.replace("__", "."), text=text)
            for path, text in flags.items()
        ]
        spec = config.load(flags=typed, config=str(self.runs.folder / "jobrunner.toml")).spec()
        # One thread: several runs share the node's cores, and more would wait for each other.
        command = ["env", "OMP_NUM_THREADS=1", "tini", "--", "python"]
        if held:
            program = (STAGES / "train.py").read_text()
            command += ["-c", program, self.runs.endpoint]
        else:
            command += ["-m", "jobrunner.core"]
        backend = KubernetesBackend(self.runs.namespace, command=command)
        self.name = Runner(backend).submit(spec).run

    @cached_property
    def control(self) -> Storage:
        url = f"{self.runs.bucket}/control/{self.again}"
        return open_storage(url, endpoint=self.runs.endpoint)

    def hold(self, step: int, attempt: str = "") -> None:
        self.control.write(f"hold-{step}" + (f"-{attempt}" if attempt else ""), b"hold")

    def release(self, step: int, attempt: str = "") -> None:
        self.control.delete(f"hold-{step}" + (f"-{attempt}" if attempt else ""))

    def held(self, step: int, attempts: int = 1) -> list[str]:
        """The attempts that have come to a step, in order, once there are `attempts` of them."""
        prefix = f"held/{step}-"

        def found() -> list[str]:
            entries = self.control.list(prefix)
            return [entry.key.removeprefix(prefix) for entry in entries]

        until(lambda: len(found()) >= attempts, f"attempt {attempts} is at {step}", SECONDS, 0.2)
        return found()

    def committed(self) -> list[int]:
        """Steps with a committed checkpoint, in order."""
        found = [entry.key for entry in self.runs.storage.list(keys.checkpoints_prefix(self.name))]
        return sorted(
            keys.checkpoint_step(self.name, key) or 0 for key in found if key.endswith("/COMMIT")
        )

    def parts(self, step: int) -> list[str]:
        """Keys of the objects of a checkpoint, committed or not."""
        prefix = keys.checkpoint_prefix(self.name, step)
        return [entry.key for entry in self.runs.storage.list(prefix)]

    def until_saved(self, step: int) -> None:
        until(lambda: step in self.committed(), f"step {step} is saved", SECONDS, 0.2)

    def pods(self, stage: str = "train") -> list[Any]:
        """The pods of a stage that the API server knows."""
        selector = f"{names.RUN_LABEL}={self.name},{names.STAGE_LABEL}={stage}"
        core = client.CoreV1Api(self.runs.api)
        found: list[Any] = core.list_namespaced_pod(
            self.runs.namespace, label_selector=selector
        ).items
        return found

    def training_pod(self) -> str:
        """Name of the pod that trains."""
        (name,) = [p.metadata.name for p in self.pods() if p.status.phase == "Running"]
        return str(name)

    def kubectl(self, *arguments: str) -> str:
        command = ["kubectl", "-n", self.runs.namespace, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> Any:
        return json.loads(jobrunner(self.runs.folder, "status", self.name, "-o", "json"))

    def shown(self) -> str:
        """The status and the log of a run, as a user sees them."""
        return jobrunner(self.runs.folder, "status", self.name) + jobrunner(
            self.runs.folder, "logs", self.name
        )

    def succeeded(self) -> Any:
        """The status at the end of a run, which must be a good one."""
        *_, last = KubernetesBackend(self.runs.namespace).watch(self.name, timeout=2 * SECONDS)
        assert last.state == "Succeeded", self.shown()
        return last

    def attempts(self) -> int:
        """Attempts at training that have begun."""
        return len(list(self.runs.storage.list(keys.claims_prefix(self.name))))

    def weights(self) -> dict[str, torch.Tensor]:
        import safetensors.torch

        exported = self.runs.storage.read(keys.export_prefix(self.name) + "model.safetensors")
        found: dict[str, torch.Tensor] = safetensors.torch.load(exported)
        return found

    def results(self) -> list[str]:
        """Keys of its results."""
        prefix = keys.evaluations_prefix(self.name)
        found = [entry.key.removeprefix(prefix) for entry in self.runs.storage.list(prefix)]
        return [key for key in found if key.endswith("/result.json")]

    def ends_as(self, undisturbed: RealRun, *, attempts: int) -> None:
        """Waits for the undisturbed run's good end, after this number of attempts at training."""
        self.succeeded()
        assert self.attempts() == attempts, self.shown()
        self.equal(undisturbed)

    def equal(self, other: RealRun) -> None:
        """Fails unless two runs ended with the same: weights, losses, one set of results."""
        self.trained_as(other)
        assert self.results() == other.results()
        # A node that is emptied loses what has ended on it too.
        assert max(len(self.pods(stage)) for stage in ("prepare", "evaluate-el")) <= 1

    def trained_as(self, other: RealRun) -> None:
        """Fails unless two runs trained the same model, by the same losses."""
        import torch

        expected, found = other.weights(), self.weights()
        assert expected.keys() == found.keys()
        different = [name for name in expected if not torch.equal(expected[name], found[name])]
        assert different == [], self.shown()
        assert self.history() == other.history()

    def history(self) -> bytes:
        """The measurements of each step: losses, norms, learning rates, error rates."""
        return self.runs.storage.read(keys.history_file(self.name))
