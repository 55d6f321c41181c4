"""The group of commands. A command's module is imported when it is called, not for --help."""

from __future__ import annotations

import importlib
from typing import Any

import click

from jobrunner.catalog.installed import __version__
from jobrunner.cli import verbosity
from jobrunner.cli.output import CLOSED

# The first line of each command's own help, repeated here so that --help imports none of them.
SECTIONS: dict[str, dict[str, str]] = {
    "Run": {
        "submit": "Fine-tune a model for one language.",
        "render": "Print the Kubernetes manifests of a run.",
        "resume": "Continue a run that failed, stopped or was cancelled.",
        "evaluate": "Measure a run or a model in several languages.",
        "cancel": "Stop a run; its checkpoints and results stay.",
        "delete": "Forget a run; its checkpoints and results stay.",
        "prune": "Forget runs that ended long ago; their checkpoints and results stay.",
    },
    "Look": {
        "status": "Show the stages and the progress of a run.",
        "list": "List runs, newest first.",
        "logs": "Print the logs of a run.",
        "report": "Compare base and fine-tuned models per language.",
        "export": "Copy the fine-tuned model of a run to a folder.",
        "transcribe": "Transcribe audio files with a model, on this machine.",
        "show": "Show the spec of a run, as it was submitted.",
        "diff": "Show what differs between two runs.",
        "storage": "Show, check and free what is in storage.",
    },
    "Set up": {
        "init": "Write a commented jobrunner.toml.",
        "config": "Show the configuration.",
        "doctor": "Check the cluster, or this machine, for all that a run needs.",
        "models": "List the models that have presets.",
        "languages": "List the languages.",
        "completion": "Print the completion script of a shell.",
    },
}


class LazyGroup(click.Group):
    """Commands by name; each is `command` in the module of that name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"jobrunner.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return verbosity.add_options(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            name, command, rest = super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(
                error.command_name[:60], possibilities=self.list_commands(ctx), ctx=ctx
            ) from None
        if command is not None and not ctx.resilient_parsing:
            from jobrunner.cli.repeated import refuse_repeated

            refuse_repeated(command, name or "", rest, ctx)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(section.items()), col_max=12)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise click.exceptions.Exit(CLOSED) from None


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`jobrunner COMMAND --help` shows more, with examples.",
)
@click.version_option(__version__, prog_name="jobrunner")
@click.option("-q", "--quiet", is_flag=True, help=verbosity.QUIET)
@click.option("-v", "--verbose", is_flag=True, help=verbosity.VERBOSE)
def cli(quiet: bool, verbose: bool) -> None:
    """Fine-tune Whisper for one language at a time, and measure it.

    \b
      jobrunner submit --lang el --model whisper-small --local --follow
      jobrunner report
    """
    verbosity.set_verbosity(quiet=quiet, verbose=verbose)
