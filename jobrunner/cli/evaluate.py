"""`jobrunner evaluate`."""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING, Any

import click

from jobrunner.catalog.backends import LOCAL
from jobrunner.cli.options import RunOptions, complete_language, complete_model, spec_options
from jobrunner.cli.select import Place, complete_run
from jobrunner.cli.submit import start, start_options
from jobrunner.errors import SpecError, UsageError

if TYPE_CHECKING:
    from jobrunner.runner.api import Runner
    from jobrunner.spec.record import RunRecord

# Options that are declared here with another meaning, or have no use without training.
LEFT_OUT = (
    *("--lang", "--model", "--eval-lang"),
    *("--steps", "--learning-rate", "--gpus", "--seed", "--again"),
)


def complete_model_or_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Runs and models that can be measured, for the shell."""
    return complete_run(ctx, param, incomplete) + complete_model(ctx, param, incomplete)


@click.command(
    epilog="""\b
Examples:
  jobrunner evaluate --model el-whisper-small-1f6e09ab --lang el,en,hi
  jobrunner evaluate --model @latest --lang en --follow
  jobrunner evaluate --model whisper-tiny --lang el,sw --local --device cpu
"""
)
@click.option(
    "--model",
    metavar="MODEL",
    help="A run's id, its start or @latest; or a preset, hub id or folder.",
    shell_complete=complete_model_or_run,
)
@click.option(
    "--lang",
    metavar="LANGS",
    help="Languages to measure: `el,en,hi`.",
    shell_complete=complete_language,
)
@spec_options(leave_out=LEFT_OUT)
@start_options
def command(
    options: RunOptions,
    model: str | None,
    lang: str | None,
    dry_run: bool,
    **waiting: Any,
) -> None:
    """Measure a run or a model in several languages.

    With a run as --model, evaluations are added to it, one process or Job for each language;
    languages that it has already been measured in are not repeated. Any other model is measured
    as it is.
    """
    from jobrunner.cli.select import reader
    from jobrunner.runner import api
    from jobrunner.spec import RunSpec

    if not lang:
        raise SpecError("lang", "is missing.", hint="Give --lang, such as --lang el,en.")
    if not model:
        raise SpecError("model", "is missing.", hint="Give a run's id, or a model, with --model.")
    runner = reader(_place(options))
    done: list[str] = []
    if run := _run(runner, model):
        typed = [option for option, path, _ in options.flags if path != "cluster.namespace"]
        if typed:
            option = typed[0]
            raise UsageError(f"{option}: a run keeps its own settings.", hint="Leave it out.")
        languages = [code.strip() for code in lang.split(",")]
        asked: RunSpec | RunRecord = runner.with_languages(run, languages)
        status = runner.status(run)
        backend = status.backend
        done = [stage.stage for stage in status.stages if stage.state == "Succeeded"]
    else:
        configuration = _as_it_is(options, model, lang).load()
        try:
            asked, backend = configuration.spec(), configuration.backend
        except SpecError as error:
            raise _no_run_either(error, model, runner) from None
    spec = asked if isinstance(asked, RunSpec) else asked.spec
    namespace = spec.cluster.namespace
    starter = None if dry_run else api.open_runner(backend, namespace=namespace)
    start(asked, starter, backend=backend, done=done, **waiting)


def _no_run_either(error: SpecError, model: str, runner: Runner) -> SpecError:
    """The error about a model that may have been meant as a run."""
    if error.field != "model":
        return error
    runs = [status.run for status in runner.list()]
    near = difflib.get_close_matches(model, runs, n=1, cutoff=0.6)
    hint = f"{error.hint} `jobrunner list` shows the runs."
    if near:
        hint = f"The nearest run is {near[0]}."
    problem = error.message.removeprefix("model: ").removesuffix(".")
    return SpecError("model", f"{problem}, and there is no such run.", hint=hint)


def _run(runner: Runner, model: str) -> str:
    """The run that --model names; empty if it names a model."""
    from jobrunner.catalog.models import PRESETS
    from jobrunner.cli.select import LATEST, find
    from jobrunner.spec import names

    if model == LATEST:
        return find(runner, model)
    if model in PRESETS or not names.RUN_ID.fullmatch(model):
        return ""
    known = [status.run for status in runner.list()]
    run = names.completed(model, known)
    return run if run in known else ""


def _place(options: RunOptions) -> Place:
    """The place to look for a run."""
    namespaces = [text for _, path, text in options.flags if path == "cluster.namespace"]
    return Place(
        backend=LOCAL if options.local else "", namespace=namespaces[-1] if namespaces else None
    )


def _as_it_is(options: RunOptions, model: str, lang: str) -> RunOptions:
    """The options for a model that is not a run's."""
    added = (
        ("--model", "model", model),
        ("--lang", "lang", lang.partition(",")[0]),
        ("--lang", "evaluate.languages", lang),
        ("evaluate", "task", "evaluate"),
    )
    return dataclasses.replace(options, flags=(*options.flags, *added))
