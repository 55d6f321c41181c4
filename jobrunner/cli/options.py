"""Options that several commands share."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from jobrunner.catalog.backends import LOCAL
from jobrunner.catalog.corpora import forms
from jobrunner.catalog.gpus import PROFILES
from jobrunner.errors import UsageError

if TYPE_CHECKING:
    from jobrunner.config import Configuration

Command = Callable[..., Any]


class Finite(click.FloatRange):
    """A number in a range, neither infinite nor `nan`."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number that can be used.", param, ctx)
        return number


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The typed options about a run."""

    flags: tuple[tuple[str, str, str], ...]
    """Tuples of option, field of the spec, and text."""
    config: str | None
    profile: str | None
    local: bool

    @property
    def again(self) -> bool:
        """True if --again stands without a number."""
        return ("--again", "again", NEXT) in self.flags

    def without_again(self) -> RunOptions:
        """The options without an --again that has no number."""
        flags = tuple(flag for flag in self.flags if flag != ("--again", "again", NEXT))
        return dataclasses.replace(self, flags=flags)

    def load(self) -> Configuration:
        """Loads all values of the run, also from files and the environment.

        Raises:
            UsageError: a value cannot be used, or --again has no number.
        """
        from jobrunner import config
        from jobrunner.cli.output import origins

        if self.again:
            raise UsageError("--again: only `submit` finds the next number.", hint="Give one.")

        configured = config.load(
            flags=[config.Flag(origin=o, path=path, text=text) for o, path, text in self.flags],
            config=self.config,
            profile=self.profile,
            backend=LOCAL if self.local else "",
        )
        origins(configured)
        return configured


def with_value(options: RunOptions, origin: str, path: str, text: str) -> RunOptions:
    """The options with one more value, from an option that is not a field's own."""
    return dataclasses.replace(options, flags=(*options.flags, (origin, path, text)))


def complete_language(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Codes of languages; after a comma, the next one."""
    from jobrunner.catalog.languages import LANGUAGES

    before, comma, last = incomplete.rpartition(",")
    return [
        CompletionItem(f"{before}{comma}{code}", help=language.name)
        for code, language in LANGUAGES.items()
        if code.startswith(last)
    ]


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of presets."""
    from jobrunner.catalog.models import PRESETS

    return [name for name in PRESETS if name.startswith(incomplete)]


def complete_field(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Fields of the spec, for --set."""
    from jobrunner.spec.paths import settings

    return [f"{path}=" for path in settings() if path.startswith(incomplete)]


def complete_profile(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the profiles that come with the project."""
    return [name for name in PROFILES if name.startswith(incomplete)]


# Option, field of the spec, name of its value, help.
FIELDS: tuple[tuple[str, str, str, str], ...] = (
    ("--lang", "lang", "LANG", "Language to fine-tune for: `el`, `Greek`, `Ελληνικά`."),
    ("--model", "model", "MODEL", "Preset, hub id or folder.  [default: whisper-small]"),
    ("--data", "data.source", "SOURCE", f"{forms()}.  [default: fleurs]"),
    ("--eval-lang", "evaluate.languages", "LANGS", "Languages to measure: `el,en,hi`."),
    ("--epochs", "train.epochs", "N", "Passes over the speech.  [default: 8, 2,000 steps at most]"),
    ("--steps", "train.steps", "N", "Optimiser steps, instead of --epochs."),
    ("--learning-rate", "train.learning_rate", "RATE", "Peak rate.  [default: the model's]"),
    (
        "--on-unhealthy",
        "train.on_unhealthy",
        "WHAT",
        "`stop`, `lower-lr` or `continue`.  [default: stop]",
    ),
    ("--gpus", "resources.gpus", "N", "GPUs of the training stage.  [default: 1]"),
    ("--device", "resources.device", "DEVICE", "`auto`, `cuda` or `cpu`.  [default: auto]"),
    ("--storage", "storage", "URL", "s3://BUCKET/PREFIX, or a folder with --local."),
    ("--namespace", "cluster.namespace", "NAME", "Namespace.  [default: jobrunner]"),
    ("--seed", "seed", "N", "Seed of data order and dropout.  [default: 0]"),
    ("--again", "again", "[N]", "Another run of the same spec; without N, the next free number."),
)
UNHEALTHY = ("stop", "lower-lr", "continue")
# Value of --again without a number.
NEXT = "next"
_NUMBER_OR_NOTHING: dict[str, Any] = {"is_flag": False, "flag_value": NEXT}
COMPLETE: dict[str, Any] = {
    "--lang": complete_language,
    "--eval-lang": complete_language,
    "--model": complete_model,
    "--on-unhealthy": lambda c, p, i: [w for w in UNHEALTHY if w.startswith(i)],
    "--device": lambda c, p, i: [d for d in ("auto", "cuda", "cpu") if d.startswith(i)],
}


def spec_options(leave_out: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """All options that describe a run; the command gets them as one `options`.

    Args:
        leave_out: options that the command does not need, or declares itself.
    """

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def gathered(
            *,
            assignments: tuple[str, ...],
            config: str | None,
            profile: str | None,
            local: bool = False,
            **others: Any,
        ) -> Any:
            typed = [
                (option, path, others.pop(_parameter(option)))
                for option, path, _, _ in FIELDS
                if option not in leave_out
            ]
            flags = [flag for flag in typed if flag[2] is not None]
            flags += [_assigned(assignment) for assignment in assignments]
            options = RunOptions(flags=tuple(flags), config=config, profile=profile, local=local)
            return function(options=options, **others)

        added: Command = gathered
        for option in reversed(_decorators(leave_out)):
            added = option(added)
        return added

    return decorate


def _assigned(assignment: str) -> tuple[str, str, str]:
    path, equals, text = assignment.partition("=")
    if not equals or not path.strip():
        raise click.UsageError(
            f"--set: {assignment[:60]!r} is not KEY=VALUE, such as train.steps=500."
        )
    return (f"--set {path.strip()[:60]}", path.strip(), text)


def _decorators(leave_out: tuple[str, ...]) -> list[Callable[[Command], Command]]:
    decorators: list[Callable[[Command], Command]] = [
        click.option(
            *((option, "-n") if option == "--namespace" else (option,)),
            _parameter(option),
            metavar=metavar,
            help=text,
            shell_complete=COMPLETE.get(option),
            **(_NUMBER_OR_NOTHING if option == "--again" else {}),
        )
        for option, _, metavar, text in FIELDS
        if option not in leave_out
    ]
    decorators.append(
        click.option(
            "--set",
            "assignments",
            metavar="KEY=VALUE",
            multiple=True,
            help="Any field of the spec, such as train.dropout=0.1. Can be repeated.",
            shell_complete=complete_field,
        )
    )
    decorators.append(
        click.option("--config", metavar="FILE", help="Read FILE instead of ./jobrunner.toml.")
    )
    decorators.append(
        click.option(
            "--profile",
            metavar="NAME",
            shell_complete=complete_profile,
            help=f"A profile of jobrunner.toml, or {', '.join(PROFILES)}.",
        )
    )
    if "--local" not in leave_out:
        decorators.append(click.option("--local", is_flag=True, help="Run on this machine."))
    return decorators


def _parameter(option: str) -> str:
    return f"spec_{option.strip('-').replace('-', '_')}"


def output_option(*kinds: str) -> Callable[[Command], Command]:
    """The option `-o`, with the first kind as default."""
    return click.option(
        "-o",
        "--output",
        "kind",
        type=click.Choice(kinds),
        metavar="FORM",
        default=kinds[0],
        show_default=True,
        help=f"{', '.join(kinds[:-1])} or {kinds[-1]}.",
    )
