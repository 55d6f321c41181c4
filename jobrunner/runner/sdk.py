"""The Python SDK: the operations as functions, for programs and notebooks.

    run = jobrunner.submit(lang="el", model="whisper-small", backend="local")
    run.wait()
    jobrunner.report(run).to_pandas()

`jobrunner/__init__.py` exports these names and imports this module when one is first used.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobrunner import config
from jobrunner.backends.base import LogLine
from jobrunner.catalog.backends import LOCAL
from jobrunner.config import Configuration
from jobrunner.config.compare import Difference, Field
from jobrunner.runner import export as exports
from jobrunner.runner import results
from jobrunner.runner import transcribe as transcripts
from jobrunner.runner.api import Runner, open_reader, open_runner
from jobrunner.runner.space import view as views
from jobrunner.runner.space.view import StorageView
from jobrunner.runner.tables import Report, RunList
from jobrunner.runner.transcribe import Segment
from jobrunner.spec import RunSpec, names
from jobrunner.states import RunStatus


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that was submitted."""

    id: str
    backend: str = ""
    """Name of its backend; if empty, it is looked for on this machine and then on the cluster."""
    namespace: str = ""
    """Namespace of the cluster; if empty, the configured one."""

    def __str__(self) -> str:
        return self.id

    def _repr_html_(self) -> str:
        return self.status()._repr_html_()

    def status(self) -> RunStatus:
        """The status of the run now."""
        return self._runner().status(self.id)

    def watch(self, *, timeout: float | None = None) -> Iterator[RunStatus]:
        """The status now and at each change, until it ends or `timeout` seconds have passed."""
        return self._runner().watch(self.id, timeout=timeout)

    def wait(self, *, timeout: float | None = None) -> RunStatus:
        """Waits for its end and returns the status. Raises WaitTimeout after `timeout` seconds."""
        return self._runner().wait(self.id, timeout=timeout)

    def logs(self, *, stage: str | None = None, follow: bool = False) -> Iterator[LogLine]:
        """Lines of all stages and attempts in order; with `follow`, until it has ended."""
        return self._runner().logs(self.id, stage=stage, follow=follow)

    def evaluate(self, languages: Sequence[str]) -> Run:
        """Adds evaluations of more languages."""
        self._runner().evaluate(self.id, languages)
        return self

    def resume(self) -> Run:
        """Continues it with its recorded spec, unless it is live or has succeeded."""
        self._runner().resume(self.id)
        return self

    def export(self, folder: str | Path) -> Path:
        """Copies its fine-tuned model to a folder, verified; continues an interrupted copy."""
        return exports.export(self._runner().record(self.id), Path(folder)).folder

    def report(self) -> Report:
        """The results so far."""
        return report(self)

    def cancel(self) -> None:
        """Stops it; checkpoints and results stay."""
        self._runner().cancel(self.id)

    def delete(self, *, purge: bool = False) -> None:
        """Forgets it; with `purge`, an ended run's objects in storage are removed as well."""
        runner = self._runner()
        if purge:
            runner.purge(self.id)
        else:
            runner.delete(self.id)

    def _runner(self) -> Runner:
        if self.backend:
            return open_runner(self.backend, namespace=self.namespace or _configured_namespace())
        return _reader(self.namespace)


def submit(
    spec: RunSpec | None = None,
    *,
    backend: str = "",
    profile: str | None = None,
    config_file: str | None = None,
    settings: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Run:
    """Starts a run, continues it, or finds that it already exists.

    Values come from arguments, the environment, the profile and jobrunner.toml, as on the command
    line.

    Args:
        spec: a whole spec, instead of all later arguments except `backend`.
        backend: `local` or `kubernetes`; if empty, the configured one.
        profile: name of a profile, such as `a100-80gb`.
        config_file: file to read instead of ./jobrunner.toml.
        settings: any field of the spec by its dotted path: `{"train.steps": 500}`.
        fields: fields at the top of the spec, such as `lang`, `model`, `storage`, and `data` for
            the source.

    Raises:
        UsageError: input that can be corrected; the message names the field.
        ClusterError, StorageError: the cluster or storage refuses, or does not answer.
    """
    if spec is None:
        named = {"data.source" if name == "data" else name: fields[name] for name in fields}
        configuration = config.load(
            arguments={**named, **(settings or {})},
            config=config_file,
            profile=profile,
            backend=backend,
        )
        spec, backend = configuration.spec(), configuration.backend
    namespace = spec.cluster.namespace
    runner = open_runner(backend or config.load().backend, namespace=namespace)
    submission = runner.submit(spec)
    for line in submission.warnings:
        warnings.warn(line, stacklevel=2)
    return Run(id=submission.run, backend=backend or config.load().backend, namespace=namespace)


def evaluate(run: Run | str, languages: Sequence[str]) -> Run:
    """Adds evaluations of more languages to a run; those that it has are not repeated."""
    return _run(run).evaluate(languages)


def watch(run: Run | str, *, timeout: float | None = None) -> Iterator[RunStatus]:
    """The status of a run now and at each change, until it ends or `timeout` s have passed."""
    return _run(run).watch(timeout=timeout)


def status(run: Run | str) -> RunStatus:
    """The status of a run now. Raises UnknownRun if no run has that id."""
    return _run(run).status()


def runs(*, namespace: str = "") -> RunList:
    """All runs of this machine and of the cluster, newest first."""
    return RunList(_reader(namespace).list())


def logs(run: Run | str, *, stage: str | None = None, follow: bool = False) -> Iterator[LogLine]:
    """Lines of all stages and attempts of a run; with `follow`, until it has ended."""
    return _run(run).logs(stage=stage, follow=follow)


def report(*chosen: Run | str, storage: str = "") -> Report:
    """The results of base and fine-tuned models, by run, language and test set.

    Args:
        chosen: runs; none means all.
        storage: storage to look in, instead of those of the runs.
    """
    arguments = {"storage": storage} if storage else {}
    configuration = config.load(arguments=arguments, backend=LOCAL)
    ids = [str(_run(run)) for run in chosen]
    found = results.results(
        _reader(""),
        ids,
        storage=_text(configuration, "storage"),
        endpoint=_text(configuration, "cluster.storage_endpoint"),
        only=bool(storage),
        warn=lambda line: warnings.warn(line, stacklevel=3),
    )
    return Report(found.comparisons, results=found)


def resume(run: Run | str) -> Run:
    """Continues a run with its recorded spec, unless it is live or has succeeded."""
    return _run(run).resume()


def show(run: Run | str) -> Sequence[Field]:
    """Fields of a run's spec with their defaults; those that differ from them first."""
    found = _run(run)
    return found._runner().show(found.id)


def diff(first: Run | str, second: Run | str) -> Sequence[Difference]:
    """Fields that differ between the specs of two runs."""
    return _reader("").diff(str(_run(first)), str(_run(second)))


def export(run: Run | str, folder: str | Path) -> Path:
    """Copies the fine-tuned model of a run to a folder, verified; returns the folder.

    A copy that was interrupted continues. Raises UsageError if the run has no model yet.
    """
    return _run(run).export(folder)


def transcribe(
    model: Run | str | Path,
    files: Sequence[str | Path],
    *,
    lang: str = "",
    device: str = "auto",
    longest: float | None = None,
) -> Iterator[Segment]:
    """The texts of audio files, piece by piece, decoded on this machine.

    Args:
        model: a run, or a folder with a model.
        files: audio files that libsndfile reads.
        lang: language to write; that of the run or of the model unless given.
        device: `auto`, `cuda` or `cpu`.
        longest: seconds of a piece at most; the model's window unless given.

    Raises:
        UsageError: the model or a file cannot be used.
        DeviceError: a GPU was requested, but none is visible.
    """
    runner = model._runner() if isinstance(model, Run) else _reader("")
    paths = [Path(file) for file in files]
    return transcripts.transcribe(
        runner, str(model), paths, language=lang, device=device, longest=longest
    )


def cancel(run: Run | str) -> None:
    """Stops a run and returns when none of its processes or pods runs; results stay."""
    _run(run).cancel()


def delete(run: Run | str, *, purge: bool = False) -> None:
    """Forgets a run; a live one is cancelled first.

    Args:
        run: the run.
        purge: removes its checkpoints, export, results and logs from storage as well. Prepared
            data and base models stay. Raises UsageError for a live run.
    """
    _run(run).delete(purge=purge)


def view(storage: str = "") -> StorageView:
    """A storage: `inventory()` says what takes how much room, `check()` what is damaged.

    Args:
        storage: `s3://BUCKET/PREFIX` or a folder; if empty, the configured one.

    Raises:
        UsageError: there is no such storage.
    """
    found = config.load(arguments={"storage": storage} if storage else {}, backend=LOCAL)
    endpoint = _text(found, "cluster.storage_endpoint")
    return views.view(_text(found, "storage"), endpoint=endpoint)


def _run(run: Run | str) -> Run:
    if isinstance(run, Run):
        return run
    return Run(id=run if names.is_whole(run) else _reader("").find(run))


def _reader(namespace: str) -> Runner:
    return open_reader(
        namespace=namespace or _configured_namespace(),
        warn=lambda line: warnings.warn(line, stacklevel=3),
    )


def _configured_namespace() -> str:
    return _text(config.load(), "cluster.namespace")


def _text(configuration: Configuration, path: str) -> str:
    return str(configuration.values[path].value)
