"""Texts of audio files, from a model of this machine, in a process that loads torch."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobrunner.catalog import installed, languages, models
from jobrunner.errors import DeviceError, JobrunnerError, UsageError
from jobrunner.runner.api import Runner
from jobrunner.runner.export import here
from jobrunner.spec import names
from jobrunner.spec.record import RunRecord

_COMMAND = (sys.executable, "-m", "jobrunner.core.recognise")


@dataclass(frozen=True, kw_only=True)
class Segment:
    """The text of one piece of a file."""

    file: Path
    start: float
    """Seconds from the start of the file to the first sound of the piece."""
    end: float
    text: str
    looped: bool = False
    """True if the text repeats itself, a sign that the model lost its place."""


def _check(files: Sequence[Path]) -> None:
    """Checks what can be seen without a model.

    Raises:
        UsageError: a file is missing or no regular file, or packages are not installed.
    """
    for path in files:
        if not path.is_file():
            problem = "is not a file" if path.exists() else "no such file"
            raise UsageError(f"{path}: {problem}.", hint="Give the path of an audio file.")
    if lacking := installed.missing("core"):
        raise UsageError(
            f"This machine lacks packages that transcribing needs: {', '.join(lacking)}.",
            hint="pip install 'jobrunner[core]'",
        )


def _language_of(folder: Path) -> str:
    """Code of the language that a model in a folder writes.

    Raises:
        UsageError: the folder has no such model, or the model does not say it.
    """
    try:
        models.family_in((folder / "config.json").read_bytes(), shown=str(folder))
    except OSError as error:
        problem = f"{folder}/config.json: {(error.strerror or str(error)).lower()}."
        raise UsageError(problem, hint=models.wanted_form()) from None
    try:
        generation = json.loads((folder / "generation_config.json").read_bytes())
        if not generation.get("is_multilingual", True):
            return "en"
        spoken = generation.get("language")
    except (OSError, ValueError, AttributeError):
        spoken = None
    for code, language in languages.LANGUAGES.items():
        if spoken and spoken in {language.whisper_code, f"<|{language.whisper_code}|>"}:
            return code
    raise UsageError(f"{folder} does not say its language.", hint="Give it, such as --lang el.")


def transcribe(
    runner: Runner,
    model: str | Path,
    files: Sequence[Path],
    *,
    language: str = "",
    device: str = "auto",
    longest: float | None = None,
    record: RunRecord | None = None,
) -> Iterator[Segment]:
    """The texts of audio files in order, piece by piece, decoded on this machine.

    Args:
        runner: a runner, which knows the runs.
        model: a folder with a model; or the id of a run, or its start.
        files: audio files that libsndfile reads.
        language: language to write; that of the run or of the model unless given.
        device: `auto`, `cuda` or `cpu`.
        longest: seconds of a piece at most; the model's window unless given.
        record: the run whose model it is, if `runner` does not know that.

    Raises:
        UnknownRun: the model is neither a folder nor a run.
        UsageError: a file is missing or cannot be read, or the model cannot be used.
        DeviceError: a GPU was requested, but none is visible.
        JobrunnerError: the process that decodes ended without a result.
    """
    _check(files)
    folder = Path(model).expanduser()
    if record is None and (not str(model) or not folder.is_dir()):
        record = runner.record(_run(runner, str(model)))
    if record is not None:
        folder, language = here(record), language or record.spec.lang
    code = languages.find(language).code if language else _language_of(folder)
    return _decoded(folder, files, language=code, device=device, longest=longest)


def _run(runner: Runner, model: str) -> str:
    if models.is_folder(model) or not names.RUN_ID.fullmatch(model):
        raise UsageError(
            f"{model[:200] or 'The empty text'} is neither a folder nor a run id.",
            hint="`jobrunner list` shows all runs.",
        )
    return runner.find(model)


def _decoded(
    folder: Path, files: Sequence[Path], *, language: str, device: str, longest: float | None
) -> Iterator[Segment]:
    """The segments of all files as another process writes them."""
    request = {
        "model": str(folder.absolute()),
        "language": language,
        "device": device,
        "longest": longest,
        "files": [str(path) for path in files],
    }
    with (
        tempfile.TemporaryFile("w+", errors="replace") as messages,
        subprocess.Popen(
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=messages, text=True
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        try:
            with suppress(BrokenPipeError):  # it has ended; its exit code says so
                process.stdin.write(json.dumps(request))
                process.stdin.close()
            for line in process.stdout:
                yield _segment(files, json.loads(line))
            code = process.wait()
        finally:
            process.kill()
        if code:
            messages.seek(0)
            last = (messages.read().strip().splitlines() or ["nothing was printed"])[-1]
            raise JobrunnerError(f"Transcribing ended with exit code {code}: {last[:200]}.")


def _segment(files: Sequence[Path], line: dict[str, Any]) -> Segment:
    if "error" in line:
        kind = DeviceError if line["code"] == DeviceError.exit_code else UsageError
        raise kind(line["error"], hint=line["hint"])
    return Segment(**{**line, "file": files[line["file"]]})
