"""The operations of the project: submit, watch, evaluate, cancel.

The command line and the Python SDK share them.

    runner = open_runner("local")
    submission = runner.submit(spec)
    for status in runner.watch(submission.run): ...
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence

from jobrunner.backends import find_backend, open_backend
from jobrunner.backends.base import Backend, LogLine, Outcome
from jobrunner.config.compare import Difference, Field, differences, fields
from jobrunner.errors import SpecError, UnknownRun, UnreadableRun, UsageError, WaitTimeout
from jobrunner.runner import again
from jobrunner.runner import preflight as checks
from jobrunner.runner.prepare import Submission, prepare
from jobrunner.runner.space import free
from jobrunner.runner.space.free import Removal
from jobrunner.runner.space.inventory import take_run
from jobrunner.spec import RunSpec, names, parse
from jobrunner.spec import plan as plans
from jobrunner.spec.plan import Plan
from jobrunner.spec.record import RunRecord, new_record, newer
from jobrunner.states import RunStatus
from jobrunner.storage import Storage


def open_runner(backend: str, *, namespace: str = "") -> Runner:
    """A runner over one backend.

    Args:
        backend: a name in `catalog/backends.py`, such as `local`.
        namespace: namespace of the cluster, in which to look for runs.

    Raises:
        UsageError: there is no such backend, or no usable kubeconfig.
    """
    return Runner(open_backend(backend, namespace=namespace))


def open_reader(*, namespace: str, warn: Callable[[str], None] = lambda line: None) -> Runner:
    """A runner for existing runs: on this machine, or else on the cluster if there is one.

    Args:
        namespace: namespace of the cluster.
        warn: gets one line if the cluster cannot be asked for its runs.
    """
    return Runner(find_backend(namespace=namespace, warn=warn))


def _lost(plan: Plan) -> set[str]:
    from jobrunner.runner.stored import lost

    return lost(plan)


class Runner:
    """The operations of the project on one backend.

    Args:
        backend: the backend that runs the stages.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def submit(self, asked: RunSpec | RunRecord) -> Submission:
        """Checks a run and starts it, continues it, or finds that it already exists.

        Raises:
            SpecError, DeviceError: see `prepare`.
            StorageError: storage or the state directory cannot be written.
        """
        return self._submit(asked, self.backend.name)

    def _submit(self, asked: RunSpec | RunRecord, backend: str) -> Submission:
        ready = prepare(asked, backend=backend)
        outcome = self.start(ready.plan)
        return Submission(**vars(ready), outcome=outcome)

    def start(self, plan: Plan) -> Outcome:
        """Starts a plan of `prepare`, continues its run, or finds that it already exists."""
        return self.backend.submit(plan, look=lambda: _lost(plan))

    def numbered(self, spec: RunSpec) -> RunSpec:
        """The spec with the smallest number of `again`, from 1, that no run has yet.

        Runs count that the backend knows, or whose record is in the spec's storage.

        Raises:
            SpecError: a folder of the spec is missing, or differs from its revision.
            StorageError: storage cannot be asked.
        """
        resolved = checks.resolve(spec)
        numbers = (resolved.model_copy(update={"again": n}) for n in itertools.count(1))
        return again.first_free(self.backend, map(new_record, numbers)).spec

    def evaluate(self, run: str, languages: Sequence[str]) -> Submission:
        """Adds evaluations of more languages to a run; those that it has are not repeated.

        For errors see `with_languages` and `submit`.
        """
        asked = self.with_languages(run, languages)
        # The run's own backend, if this runner looks at several.
        return self._submit(asked, self.status(run).backend)

    def with_languages(self, run: str, languages: Sequence[str]) -> RunRecord:
        """A run with evaluations of more languages.

        Raises:
            UnknownRun: there is no such run.
            UnreadableRun: a newer client made it.
            SpecError: a language is unknown, or none is given.
        """
        if not languages:
            raise SpecError("evaluate.languages", "names no language.")
        record = self.recorded(run)
        values = record.spec.model_dump(mode="json")
        asked = parse({**values, "evaluate": {"languages": list(dict.fromkeys(languages))}})
        both = dict.fromkeys((*record.spec.evaluation_languages, *asked.evaluate.languages))
        values["evaluate"]["languages"] = list(both)
        return record.with_spec(parse(values))

    def find(self, text: str) -> str:
        """The id of the run that a text names: a whole id, or the start of exactly one.

        Runs are listed only if the text is not a whole id. A text that no id starts with is
        returned as it is.

        Raises:
            SpecError: the text cannot be a run id.
            UsageError: several ids start with it.
        """
        if names.is_whole(names.check_run_id(text)):
            return text
        return names.completed(text, [status.run for status in self.list()])

    def status(self, run: str) -> RunStatus:
        """The status of a run now. Raises UnknownRun if there is no such run."""
        return self.backend.status(run)

    def list(self) -> list[RunStatus]:
        """All runs, newest first."""
        return self.backend.list()

    def record(self, run: str) -> RunRecord:
        """The run as submitted. Raises UnknownRun, UnreadableRun."""
        return self.backend.record(run)

    def show(self, run: str) -> Sequence[Field]:
        """Fields of the run's spec as submitted; those that differ from their defaults first.

        Fields that only a newer client knows are left out; `record` names them. Raises UnknownRun,
        UnreadableRun.
        """
        return fields(self.record(run).spec)

    def diff(self, first: str, second: str) -> Sequence[Difference]:
        """Fields that differ between the specs of two runs. Raises UnknownRun, UnreadableRun."""
        return differences(self.recorded(first).spec, self.recorded(second).spec)

    def resume(self, run: str) -> Submission:
        """Continues a run with its recorded spec, as if it were submitted again.

        The outcome is `adopted` for a run that is live or has succeeded. For errors see `submit`.
        """
        return self._submit(self.recorded(run), self.status(run).backend)

    def lost(self, run: str) -> set[str]:
        """Stages of a run that has succeeded which a submit repeats: storage lost their results.

        Prepared speech is not missed until a stage needs it.
        """
        ready = plans.plan(self.recorded(run))
        prepare = {stage.name for stage in ready.stages if stage.kind == "prepare"}
        return _lost(ready) - prepare

    def recorded(self, run: str) -> RunRecord:
        """The record of a run that this client can submit again.

        Raises:
            UnknownRun: there is no such run.
            UnreadableRun: a newer client made it.
        """
        record = self.backend.record(run)
        if record.unknown:
            raise UnreadableRun(f"{run} was {newer(record.client)}.")
        return record

    def watch(self, run: str, *, timeout: float | None = None) -> Iterator[RunStatus]:
        """The status now and at each change, until the run ends or `timeout` s have passed."""
        return self.backend.watch(run, timeout=timeout)

    def logs(
        self, run: str, *, stage: str | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """Lines of all stages and attempts in order; with `follow`, until the run has ended.

        Args:
            run: the run id.
            stage: only this stage.
            follow: continues until the run has ended.

        Raises:
            UnknownRun: there is no such run.
            SpecError: it has no such stage.
        """
        stages = [each.stage for each in self.status(run).stages]
        if stage is not None and stage not in stages:
            hint = f"It has {', '.join(stages)}."
            raise SpecError("stage", f"{run} has no stage {stage[:60]!r}.", hint=hint)
        return self.backend.logs(run, stage=stage, follow=follow)

    def cancel(self, run: str) -> None:
        """Stops the run and returns when none of its processes or pods runs. Results stay."""
        self.backend.cancel(run)

    def delete(self, run: str) -> None:
        """Cancels the run and forgets it; results in storage stay."""
        self.backend.delete(run)

    def removal(self, run: str, *, storage: Storage | None = None) -> Removal:
        """Lists what a purge of a run would remove.

        Args:
            run: the run id.
            storage: where to look for a run that is unknown here, such as one that was deleted.

        Raises:
            UnknownRun: there is no such run, or nothing of it is in `storage`.
            UsageError: it has not ended.
            StorageError: storage refused.
        """
        return free.everything(self._storage_of_ended(run, storage), run)

    def purge(self, run: str, *, storage: Storage | None = None) -> Removal:
        """Forgets an ended run and removes all that it has in storage; for errors see `removal`.

        Prepared speech and base models stay: other runs may use them.
        """
        place = self._storage_of_ended(run, storage)
        with contextlib.suppress(UnknownRun):
            self.delete(run)
        removal = free.everything(place, run)
        removal.carry_out()
        return removal

    def checkpoints(self, run: str) -> Removal:
        """The checkpoints of an ended run, which its `carry_out` removes; see `removal`."""
        return free.checkpoints(self._storage_of_ended(run), run)

    def live(self, url: str) -> set[str]:
        """Runs that have not ended and have this storage."""
        found = (status for status in self.list() if not status.state.ended)
        return {status.run for status in found if status.storage.rstrip("/") == url.rstrip("/")}

    def _storage_of_ended(self, run: str, otherwise: Storage | None = None) -> Storage:
        try:
            state = self.status(run).state
        except UnknownRun:
            if otherwise is None or take_run(otherwise, run) is None:
                raise
            return otherwise
        if not state.ended:
            raise UsageError(
                f"{run} has not ended: it is {state.lower()}.",
                hint=f"`jobrunner cancel {run}` stops it.",
            )
        return self.record(run).spec.open_storage()

    def wait(self, run: str, *, timeout: float | None = None) -> RunStatus:
        """Waits for the end of a run and returns its status.

        Args:
            run: the run id.
            timeout: seconds to wait at most; None waits for ever.

        Raises:
            WaitTimeout: the run has not ended by then. It continues.
        """
        for status in self.backend.watch(run, timeout=timeout):
            if status.state.ended:
                return status
        raise WaitTimeout(
            f"{run} has not ended after {timeout or 0:g} s.",
            hint=f"It continues; `jobrunner status {run}` shows it.",
        )
