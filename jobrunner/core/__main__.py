"""`python -m jobrunner.core prepare|train|evaluate`: one stage, as a process.

Besides its arguments it reads the environment, which pods and the local backend set:

    JOBRUNNER_SPEC           file with the run's record (`run.json`)
    JOBRUNNER_RUN            id of the run, which must be that of the record
    JOBRUNNER_ATTEMPT        name of this attempt; a random one unless given
    JOBRUNNER_SCRATCH        folder on a local disk
    JOBRUNNER_PROGRESS_FILE  file to write progress to, if it is wanted
    JOBRUNNER_GRACE_SECONDS  time between SIGTERM and SIGKILL
    JOBRUNNER_NODE           name of the node, in pods
    JOBRUNNER_STAGE          name of the stage, such as `evaluate-el`
    JOBRUNNER_NAMESPACE      set only in pods: there a stage stores its own log, writes its progress
                             on its Job, and releases the stages that wait for it
    JOBRUNNER_METRICS_PORT   port on which to serve Prometheus metrics

Of several ranks in one pod, only rank 0 stores the log, reports progress and serves metrics.
"""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
import traceback
import uuid
from pathlib import Path

import click

from jobrunner.catalog import nodes
from jobrunner.catalog.installed import __version__
from jobrunner.core.attempt.attempt import Attempt
from jobrunner.core.attempt.context import StageContext
from jobrunner.core.attempt.progress import ProgressReporter, log
from jobrunner.errors import JobrunnerError, Repeated, UnreadableRun, UsageError, full_disk
from jobrunner.spec import RunSpec
from jobrunner.spec.record import RunRecord, read_record


def stage_context() -> StageContext:
    """The context that the environment describes.

    Raises:
        UsageError: a variable is missing or the spec is wrong.
    """
    file = os.environ.get("JOBRUNNER_SPEC")
    if not file:
        raise UsageError("JOBRUNNER_SPEC is not set.", hint="It names the file with the spec.")
    try:
        text = Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}.") from None
    record = _read(text)
    progress = os.environ.get("JOBRUNNER_PROGRESS_FILE")
    context = StageContext(
        record=record,
        storage=record.spec.open_storage(),
        attempt=os.environ.get("JOBRUNNER_ATTEMPT") or uuid.uuid4().hex[:12],
        scratch=_scratch(),
        progress=ProgressReporter(Path(progress) if progress else None),
        log=log,
        grace_seconds=_grace_seconds(record.spec),
    )
    context.stop.install()
    return context


def _grace_seconds(spec: RunSpec) -> float:
    """Seconds between SIGTERM and SIGKILL; a spot node may give less than the pod is granted."""
    granted = float(os.environ.get("JOBRUNNER_GRACE_SECONDS", "30"))
    node = os.environ.get("JOBRUNNER_NODE")
    if not node or not spec.cluster.spot:
        return granted
    return min(granted, spec.cluster.spot_grace_seconds or nodes.notice_seconds(node))


def _scratch() -> Path:
    """The folder for this program on a local disk.

    Raises:
        UsageError: it cannot be made.
        StorageFull: no room left for it.
    """
    folder = Path(os.environ.get("JOBRUNNER_SCRATCH") or tempfile.gettempdir()) / "jobrunner"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if full := full_disk(error, f"in {folder}"):
            raise full from None
        problem = f"JOBRUNNER_SCRATCH: {error.filename}: {error.strerror}."
        raise UsageError(problem, hint="Set it to a folder that can be written.") from None
    return folder


def _read(text: bytes) -> RunRecord:
    """Reads a record, which must be of the run that the environment names.

    Raises:
        UsageError: it is of another run, or a client newer than this program wrote it.
    """
    hint = "Name an image of the client's version with cluster.image, and submit the run again."
    try:
        record = read_record(text)
    except UnreadableRun as error:
        made = error.message.startswith("made by")  # the form that a row of `list` shows
        why = f"The run was {error.message}." if made else error.message
        raise UsageError(f"This is jobrunner {__version__}. {why}", hint=hint) from None
    if record.unknown:
        raise UsageError(
            f"This is jobrunner {__version__}, older than the {record.client} that submitted the "
            f"run: it does not know {', '.join(record.unknown)}.",
            hint=hint,
        )
    expected = os.environ.get("JOBRUNNER_RUN")
    if expected and expected != record.run:
        raise UsageError(
            f"The spec is of the run {record.run}, and this stage belongs to {expected}.",
            hint="Submit the run again; nobody but jobrunner should write its ConfigMap.",
        )
    return record


@click.group()
def main() -> None:
    """Runs one stage of a run."""


@main.command()
@click.pass_obj
def prepare(attempt: Attempt) -> None:
    """Brings data and the base model into storage."""
    from jobrunner.core import prepare as stage

    with attempt.working(stage_context()) as context:
        stage.run(context)
    attempt.release()


@main.command()
@click.pass_obj
def train(attempt: Attempt) -> None:
    """Fine-tunes the model, from the last checkpoint if there is one."""
    context = stage_context()
    resources = context.spec.resources
    if resources.device != "cpu" and resources.gpus > 1 and "RANK" not in os.environ:
        from jobrunner.core.training import ranks

        attempt.lead(context)
        code = ranks.run(resources.gpus, [sys.executable, "-m", "jobrunner.core", "train"])
        if code:
            sys.exit(code)
    else:
        from jobrunner.core import train as stage

        with attempt.working(context) as context:
            stage.run(context)
    attempt.release()


@main.command()
@click.option("--lang", required=True, help="Language to measure.")
@click.pass_obj
def evaluate(attempt: Attempt, lang: str) -> None:
    """Measures base and fine-tuned model on one language."""
    from jobrunner.core import evaluate as stage

    with attempt.working(stage_context()) as context:
        stage.run(context, language=lang)


def entry() -> None:
    """Runs a stage and turns its errors into an exit code and one line."""
    # OpenMP's threads spin while they wait. If cores are shared, even just with the processes that
    # load data, the long default makes training 3 times as slow as a short spin.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    attempt = Attempt()
    code = attempt.logged(lambda: _run(attempt))
    if "RANK" in os.environ:
        # Threads of the group of ranks can abort a process that ends by itself (exit code 134).
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _run(attempt: Attempt) -> int:
    try:
        main(standalone_mode=False, obj=attempt)
    except JobrunnerError as error:
        log(f"error: {error}")
        return error.exit_code
    except click.ClickException as error:
        log(f"error: {error.format_message()}")
        return 2
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except Exception as error:  # noqa: BLE001
        # Any error belongs in the stored log, and ends only this attempt.
        traceback.print_exc()
        if not attempt.crashed(error):
            return 1
        text = " ".join("".join(traceback.format_exception_only(error)).split())
        log(f"error: The attempt before ended in the same way: {text}")
        return Repeated.exit_code
    return 0


if __name__ == "__main__":
    entry()
