"""`jobrunner evaluate`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from jobrunner.catalog.backends import LOCAL
from jobrunner.cli.options import Choice, complete_language, complete_model, spec_options
from jobrunner.cli.select import Place, complete_run
from jobrunner.cli.submit import start, start_options
from jobrunner.errors import SpecError, UsageError

if TYPE_CHECKING:
    from jobrunner.spec.record import RunRecord

# Declared here with another meaning, or of no use without training.
LEFT_OUT = ("--lang", "--model", "--eval-lang", "--steps", "--learning-rate", "--seed", "--again")


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
    help="A run's id or @latest; or a preset, hub id or folder.",
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
    choice: Choice,
    model: str | None,
    lang: str | None,
    dry_run: bool,
    **waiting: Any,
) -> None:
    """Measure a run or a model in several languages.

    With a run as --model, evaluations are added to it, one process or Job for each language;
    what it has measured already is not repeated. Any other model is measured as it is.
    """
    from jobrunner.cli.select import find, reader
    from jobrunner.runner import api
    from jobrunner.spec import RunSpec

    if not lang:
        raise SpecError("lang", "is missing.", hint="Give --lang el,en, say.")
    if not model:
        raise SpecError("model", "is missing.", hint="Give a run's id, or a model, with --model.")
    runner = reader(_place(choice))
    if model == "@latest" or model in {status.run for status in runner.list()}:
        typed = [option for option, path, _ in choice.flags if path != "cluster.namespace"]
        if typed:
            option = typed[0]
            raise UsageError(f"{option}: a run keeps its own settings.", hint="Leave it out.")
        languages = [code.strip() for code in lang.split(",")]
        run = find(runner, model)
        asked: RunSpec | RunRecord = runner.with_languages(run, languages)
        backend = runner.status(run).backend
    else:
        configuration = _as_it_is(choice, model, lang).load()
        asked, backend = configuration.spec(), configuration.backend
    spec = asked if isinstance(asked, RunSpec) else asked.spec
    namespace = spec.cluster.namespace
    runner_of_it = None if dry_run else api.open_runner(backend, namespace=namespace)
    start(asked, runner_of_it, backend=backend, **waiting)


def _place(choice: Choice) -> Place:
    """The place to look for a run."""
    namespaces = [text for _, path, text in choice.flags if path == "cluster.namespace"]
    return Place(
        backend=LOCAL if choice.local else "", namespace=namespaces[-1] if namespaces else None
    )


def _as_it_is(choice: Choice, model: str, lang: str) -> Choice:
    """The choice for a model that is not a run's."""
    added = (
        ("--model", "model", model),
        ("--lang", "lang", lang.partition(",")[0]),
        ("--lang", "evaluate.languages", lang),
        ("evaluate", "task", "evaluate"),
    )
    return dataclasses.replace(choice, flags=(*choice.flags, *added))
