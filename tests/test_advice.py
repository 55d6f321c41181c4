"""Every command, option and setting that a message or a docstring advises can be typed."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from jobrunner.cli.group import cli
from jobrunner.spec.paths import settings
from tests.test_architecture import MODULES

RUN = "el-whisper-tiny-00000000"
# What the parts of a message stand for that are known only when it is printed.
EMPTY = ("options", "deep", "where")
TYPED = {"RUN": RUN, "N": "1", "FILE": "speech.wav", "DIR": "folder", "URL": "s3://speech/runs"}


def _messages(path: Path) -> Iterator[tuple[int, str]]:
    """The texts of a file; what an f-string puts in is a run, or nothing for options."""
    tree = ast.parse(path.read_text())
    parts = {id(p) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for p in n.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(map(_filled, node.values))
        elif isinstance(node, ast.Constant) and id(node) not in parts:
            yield node.lineno, str(node.value)


def _filled(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    name = ast.unparse(part.value) if isinstance(part, ast.FormattedValue) else ""
    if any(word in name for word in EMPTY):
        return ""
    return "1" if re.search(r"again|number|count", name) else RUN


def _advice() -> list[tuple[str, str]]:
    """Place and text of each command between backticks."""
    return [
        (f"{path.name}:{line}", command)
        for path in MODULES.values()
        for line, text in _messages(path)
        for command in re.findall(r"`(jobrunner (?!COMMAND)[^`]+)`", " ".join(text.split()))
    ]


ADVICE = _advice()


def typed(command: str) -> None:
    """Parses a command as the shell and Click would, up to its options' values.

    Raises:
        click.UsageError: there is no such command, option or argument, or one is missing.
    """
    words = [TYPED.get(word, word) for word in shlex.split(command)[1:]]
    context = click.Context(cli, info_name="jobrunner")
    group: click.Command = cli
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        found = group.get_command(context, words[0])
        if found is None:
            raise click.UsageError(f"no command {words[0]}")
        group, words = found, words[1:]
        context = click.Context(group, parent=context, info_name=group.name)
    parser = group.make_parser(context)
    values, others, _ = parser.parse_args(list(words))
    if others:
        raise click.UsageError(f"too much: {others}")
    if {"--help", "-h"} & set(words):
        return
    for parameter in group.params:
        given = values.get(parameter.name or "")
        if isinstance(parameter, click.Argument) and parameter.required and not given:
            raise click.UsageError(f"{parameter.name} is missing")


def test_there_is_advice_to_follow() -> None:
    assert len(ADVICE) > 30


@pytest.mark.parametrize(("place", "command"), ADVICE)
def test_a_command_that_is_advised_can_be_typed(place: str, command: str) -> None:
    typed(command)


@pytest.mark.parametrize(
    "wrong", ["jobrunner lst", "jobrunner status --nosuch", "jobrunner show a b"]
)
def test_advice_that_cannot_be_typed_is_found(wrong: str) -> None:
    with pytest.raises(click.UsageError):
        typed(wrong)


def test_settings_that_are_advised_exist() -> None:
    sections = {path.split(".")[0] for path in settings() if "." in path}
    advised = {
        name
        for path in MODULES.values()
        for _, text in _messages(path)
        for name in re.findall(
            rf"(?<![\w./-])(?:{'|'.join(sections)})\.(?!py\b)[a-z_]+\b(?![(./-])", text
        )
    }
    # The list of sources is written in a file; `data.source` is what is typed.
    assert advised - {*settings()} == {"data.sources"}
