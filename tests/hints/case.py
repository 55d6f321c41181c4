"""A mistake of a user, its hint, and what somebody does who believes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.harness.audiofolders import HEADER, ROWS, audio_bytes, write_folder
from tests.harness.commandline import Jobrunner
from tests.harness.hints import matches
from tests.harness.paths import EXAMPLES, MICRO

CLIP = EXAMPLES / "speech/el/test/el-0000.mp3"
GOOD = ("--local", "--device", "cpu", "--lang", "el", "--model", str(MICRO), "--dry-run")
SPEECH = ("--data", "folder:speech")
PLACE = ("--storage", "storage")
SUBMIT = ("submit", *GOOD, *SPEECH, *PLACE)
# Wrong input, or what this machine lacks.
CODES = {1, 2, 3}


def nothing() -> None:
    """There is nothing to prepare, or to do besides typing another command."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mistake in a folder with audio in `speech`.

    Args:
        wrong: the command with the mistake.
        mistake: makes it, where it is not in the command.
        hint: what the command answers; `{}` stands for anything.
        repair: does what the hint says.
        right: the command afterwards.
    """

    wrong: tuple[str, ...] = SUBMIT
    mistake: Callable[[], object] = nothing
    hint: str
    repair: Callable[[], object] = nothing
    right: tuple[str, ...] = SUBMIT


def without(*options: str) -> tuple[str, ...]:
    """The good command without some options and their values."""
    kept = list(SUBMIT)
    for option in options:
        at = kept.index(option)
        del kept[at : at + (1 if option == "--local" else 2)]
    return tuple(kept)


def instead(option: str, value: str) -> tuple[str, ...]:
    """The good command with another value of an option."""
    return (*without(option), option, value)


def table(
    text: str, *, encoding: str = "utf-8", name: str = "metadata.csv"
) -> Callable[[], object]:
    """Writes a table of the audio folder."""
    return lambda: Path("speech", name).write_text(text, encoding=encoding)


def rows(delimiter: str = ",", *, head: bool = True) -> str:
    """The text of the good table."""
    written = [HEADER, *ROWS] if head else [*ROWS]
    return "".join(f"{delimiter.join(row)}\n" for row in written)


def clips(content: bytes) -> Callable[[], object]:
    """Writes the same bytes into every audio file."""
    return lambda: [Path("speech", row[0]).write_bytes(content) for row in ROWS]


def bring_clips() -> None:
    """Writes every audio file as it should be."""
    for row in ROWS:
        Path("speech", row[0]).write_bytes(audio_bytes(row[0]))


def follow(case: Case, jobrunner: Jobrunner, here: Path) -> None:
    """Makes the mistake, does what the hint says, and expects success."""
    write_folder(here / "speech")
    case.mistake()
    answer = jobrunner(*case.wrong)
    assert answer.code in CODES, answer
    [line] = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert matches(case.hint, line), line
    case.repair()
    right = jobrunner(*case.right)
    assert right.code == 0, right.err
