"""Submit, watch, cancel, evaluate: the small Python API that the CLI and notebooks share.

runner = open_runner(local=True)
submission = runner.submit(spec)
for status in runner.watch(submission.run): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from jobrunner.backends import find_backend, open_backend
from jobrunner.backends.base import Backend, LogLine, Outcome
from jobrunner.errors import SpecError, UsageError, WaitTimeout
from jobrunner.runner import preflight as checks
from jobrunner.spec import RunSpec, keys, parse
from jobrunner.spec import plan as plans
from jobrunner.spec.plan import Plan
from jobrunner.status import RunStatus
from jobrunner.storage import Storage, open_storage


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a submit did."""

    run: str
    outcome: Outcome
    plan: Plan
    warnings: tuple[str, ...] = ()
    """One line each: what the user should know and need not mend."""


def open_runner(*, local: bool, namespace: str = "") -> Runner:
    """A runner for this machine, or for the cluster.

    Args:
        local: True for this machine.
        namespace: of the cluster; runs are looked for there.

    Raises:
        UsageError: there is no kubeconfig, or it cannot be used.
    """
    return Runner(open_backend("local" if local else "kubernetes", namespace=namespace))


def open_reader(*, namespace: str, warn: Callable[[str], None] = lambda line: None) -> Runner:
    """A runner for runs that are there already: here, or else on the cluster if there is one.

    Args:
        namespace: of the cluster.
        warn: gets one line when the cluster cannot be asked for its runs.
    """
    return Runner(find_backend(namespace=namespace, warn=warn))


def prepare(spec: RunSpec, *, local: bool) -> tuple[Plan, tuple[str, ...]]:
    """The plan of a run after all checks that need no start, and warnings, one line each.

    Works offline, and for the cluster without a cluster.

    Raises:
        SpecError: a folder, model, language or storage that cannot be used.
        DeviceError: more GPUs than this machine has, for a local run.
    """
    warnings = checks.preflight(spec, backend="local" if local else "kubernetes")
    return plans.plan(checks.resolve(spec)), tuple(warnings)


class Runner:
    """The verbs of the project over one backend.

    Args:
        backend: where the stages run.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def preflight(self, spec: RunSpec) -> list[str]:
        """Warnings about a spec, one line each; nothing is started.

        Raises:
            SpecError: a folder, model, language or storage that cannot be used.
            DeviceError: more GPUs than this machine has.
        """
        return checks.preflight(spec, backend=self.backend.name)

    def resolve(self, spec: RunSpec) -> RunSpec:
        """The spec with absolute folders, each pinned by its fingerprint.

        Raises:
            SpecError: a folder is missing, or differs from the revision that the spec names.
        """
        return checks.resolve(spec)

    def submit(self, spec: RunSpec) -> Submission:
        """Checks the spec and starts the run, goes on with it, or finds that it is there.

        Raises:
            SpecError, DeviceError: as `preflight` and `resolve`.
            StorageError: storage or the state directory cannot be written.
        """
        plan, warnings = prepare(spec, local=self.backend.name == "local")
        return Submission(run=plan.run, outcome=self.start(plan), plan=plan, warnings=warnings)

    def start(self, plan: Plan) -> Outcome:
        """Starts a plan that `prepare` made, goes on with its run, or finds that it is there."""
        return self.backend.submit(plan)

    def evaluate(self, run: str, languages: Sequence[str]) -> Submission:
        """Adds evaluations of more languages to a run; those that it has are not repeated.

        Raises as `with_languages` and `submit`.
        """
        return self.submit(self.with_languages(run, languages))

    def with_languages(self, run: str, languages: Sequence[str]) -> RunSpec:
        """The spec of a run with evaluations of more languages.

        Raises:
            UsageError: there is no such run.
            SpecError: a language that is not known; none given.
        """
        if not languages:
            raise SpecError("evaluate.languages", "names no language.")
        spec = self.backend.spec(run)
        values = spec.model_dump(mode="json")
        asked = parse({**values, "evaluate": {"languages": list(dict.fromkeys(languages))}})
        both = dict.fromkeys((*spec.evaluation_languages, *asked.evaluate.languages))
        values["evaluate"]["languages"] = list(both)
        return parse(values)

    def status(self, run: str) -> RunStatus:
        """Raises UsageError when there is no such run."""
        return self.backend.status(run)

    def list(self) -> list[RunStatus]:
        """All runs, newest first."""
        return self.backend.list()

    def spec(self, run: str) -> RunSpec:
        """The spec as submitted. Raises UsageError when there is no such run."""
        return self.backend.spec(run)

    def watch(self, run: str, *, timeout: float | None = None) -> Iterator[RunStatus]:
        """The status now and at each change, until the run has ended or `timeout` s are over."""
        return self.backend.watch(run, timeout=timeout)

    def logs(
        self, run: str, *, stage: str | None = None, follow: bool = False, storage: str = ""
    ) -> Iterator[LogLine]:
        """Lines of all stages and attempts in order; with `follow`, until the run has ended.

        Args:
            run: the run id.
            stage: only this stage.
            follow: goes on until the run has ended.
            storage: where to look when the backend does not know the run any more.

        Raises:
            UsageError: there is no such run, or no such stage.
        """
        try:
            self.backend.spec(run)
        except UsageError:
            if not storage or not (kept := _stored_attempts(open_storage(storage), run)):
                raise
            yield from _stored_lines(open_storage(storage), kept, stage)
        else:
            yield from self.backend.logs(run, stage=stage, follow=follow)

    def cancel(self, run: str) -> None:
        """Stops the run and returns when nothing of it runs any more. Results stay."""
        self.backend.cancel(run)

    def delete(self, run: str) -> None:
        """Cancels the run and forgets it; results in storage stay."""
        self.backend.delete(run)

    def wait(self, run: str, *, timeout: float | None = None) -> RunStatus:
        """The status of the run when it has ended.

        Args:
            run: the run id.
            timeout: seconds to wait at most; None waits for ever.

        Raises:
            WaitTimeout: the run had not ended by then. It goes on.
        """
        for status in self.backend.watch(run, timeout=timeout):
            if status.state.ended:
                return status
        raise WaitTimeout(
            f"{run} has not ended after {timeout or 0:g} s.",
            hint=f"It goes on; `jobrunner status {run}` shows it.",
        )


@dataclass(frozen=True)
class _StoredLog:
    stage: str
    attempt: str
    key: str


def _stored_attempts(storage: Storage, run: str) -> list[_StoredLog]:
    """The logs that a run has left in storage, in the order in which the attempts ended."""
    prefix = keys.logs_prefix(run)
    found = []
    for entry in sorted(storage.list(prefix), key=lambda entry: entry.modified):
        stored = keys.attempt_of_log(run, entry.key)
        if stored:
            found.append(_StoredLog(*stored, entry.key))
    return found


def _stored_lines(storage: Storage, kept: list[_StoredLog], stage: str | None) -> Iterator[LogLine]:
    if stage not in {None, *(log.stage for log in kept)}:
        there = ", ".join(dict.fromkeys(log.stage for log in kept))
        raise SpecError("stage", f"there is no log of {stage}.", hint=f"There are {there}.")
    for log in kept:
        if stage in {None, log.stage}:
            with storage.open(log.key) as file:
                for line in file:
                    text = line.decode(errors="replace").rstrip("\r\n")
                    yield LogLine(stage=log.stage, attempt=log.attempt, text=text)
