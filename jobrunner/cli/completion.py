"""`jobrunner completion`."""

from __future__ import annotations

import click

from jobrunner.cli.output import out

SHELLS = ("bash", "zsh", "fish")
# Click's script for fish takes what it completes apart at every comma; `el,en` has one itself.
WHOLE_VALUE = ('string split "," $completion', 'string split --max 1 "," $completion')


@click.command(
    epilog="""\b
Examples:
  eval "$(jobrunner completion bash)"                    # in ~/.bashrc
  eval "$(jobrunner completion zsh)"                     # in ~/.zshrc
  jobrunner completion fish > ~/.config/fish/completions/jobrunner.fish
"""
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    from jobrunner.cli.group import cli

    shell_class = get_completion_class(shell)
    assert shell_class is not None
    script = shell_class(cli, {}, "jobrunner", "_JOBRUNNER_COMPLETE")
    # The class's own source() starts a shell only to check its version.
    source = script.source_template
    if shell == "fish":
        source = source.replace(*WHOLE_VALUE)
    out(source % script.source_vars())
