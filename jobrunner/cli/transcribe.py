"""`jobrunner transcribe`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobrunner.cli.options import complete_language, output_option
from jobrunner.cli.output import escape, out, say, structured, warn
from jobrunner.cli.select import (
    LATEST,
    Place,
    complete_run,
    find,
    place_options,
    reader,
    recorded,
)
from jobrunner.errors import UsageError

if TYPE_CHECKING:
    from jobrunner.runner.transcribe import Segment

# Seconds of a subtitle at most, unless given.
LONGEST_CUE = 10.0
ENDINGS = {"text": ".txt", "srt": ".srt", "json": ".json"}


@click.command(
    epilog="""\b
Examples:
  jobrunner transcribe --model @latest speech.wav
  jobrunner transcribe --model ./greek -o srt lecture.mp3 > lecture.srt
  jobrunner transcribe --model el-whisper-small-1f6e09ab --output-dir texts talks/*.flac
"""
)
@click.option(
    "--model",
    metavar="MODEL",
    required=True,
    help="A run's id, its start or @latest; or a folder with a model.",
    shell_complete=complete_run,
)
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@output_option(*ENDINGS)
@click.option(
    "--output-dir",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a file for each FILE into DIR, not to stdout.",
)
@click.option(
    "--lang",
    metavar="LANG",
    default="",
    help="Language to write.  [default: that of the run or the model]",
    shell_complete=complete_language,
)
@click.option(
    "--device",
    default="auto",
    metavar="DEVICE",
    type=click.Choice(("auto", "cuda", "cpu")),
    help="`auto`, `cuda` or `cpu`.  [default: auto]",
)
@click.option(
    "--longest",
    metavar="SECONDS",
    type=click.FloatRange(min=1, max=30),
    help="Longest piece.  [default: the model's window; 10 with -o srt]",
)
@click.option("--storage", metavar="URL", help="Where the run is, if submitted elsewhere.")
@place_options
def command(
    model: str,
    files: tuple[Path, ...],
    kind: str,
    folder: Path | None,
    lang: str,
    device: str,
    longest: float | None,
    storage: str | None,
    place: Place,
) -> None:
    """Transcribe audio files with a model, on this machine.

    Reads what libsndfile reads (WAV, FLAC, MP3, Ogg, Opus ...). A recording is cut into pieces
    where it is quietest, and each piece becomes a line, or a subtitle with -o srt. Times are those
    of the pieces, not of sentences or words: a fine-tuned Whisper no longer writes time marks.
    """
    from jobrunner.runner.transcribe import transcribe

    places = _places(files, kind, folder)
    if kind == "srt" and len(files) > 1 and folder is None:
        raise UsageError(
            "-o srt: subtitles of several files do not fit on stdout.", hint="Give --output-dir."
        )
    if kind == "srt" and longest is None:
        longest = LONGEST_CUE
    if folder is not None:
        _make(folder)
    runner, record = reader(place), None
    named = find(runner, LATEST) if model == LATEST and not storage else model
    if storage:
        record = recorded(model, storage, place)
    found = transcribe(
        runner, named, files, language=lang, device=device, longest=longest, record=record
    )
    segments = _warned(files, found)
    if kind == "text" and folder is None:
        for segment in segments:
            out(escape(f"{segment.file}: {segment.text}" if len(files) > 1 else segment.text))
        return
    by_file: dict[Path, list[Segment]] = {path: [] for path in files}
    for path, found in groupby(segments, key=lambda segment: segment.file):
        by_file[path] += found
        if folder is not None:
            say(f"Transcribed {escape(str(path))}.")
    if folder is None:
        out(_srt(by_file[files[0]]).rstrip("\n") if kind == "srt" else _json(by_file))
        return
    for path, texts in by_file.items():
        _write(places[path], _whole(kind, path, texts))
        out(str(places[path]))


def _places(files: Sequence[Path], kind: str, folder: Path | None) -> dict[Path, Path]:
    """The file to write for each file."""
    if len(set(files)) < len(files):
        raise UsageError("A file is given twice.", hint="Give each one once.")
    places = {path: (folder or Path()) / f"{path.stem}{ENDINGS[kind]}" for path in files}
    if folder and len(set(places.values())) < len(files):
        raise UsageError(
            "--output-dir: two files differ only in their ending or folder.",
            hint="Transcribe them into two folders.",
        )
    return places


def _warned(files: Sequence[Path], segments: Iterator[Segment]) -> Iterator[Segment]:
    """The segments; warns of texts that repeat themselves, and of files without any sound."""
    silent = dict.fromkeys(files)
    for segment in segments:
        silent.pop(segment.file, None)
        if segment.looped:
            at = _time(segment.start).partition(",")[0]
            warn(f"{segment.file}: the text at {at} repeats itself; the model lost its place.")
        yield segment
    for path in silent:
        warn(f"{path}: there is only silence in it.")


def _whole(kind: str, path: Path, segments: Sequence[Segment]) -> str:
    if kind == "srt":
        return _srt(segments)
    if kind == "json":
        return _json({path: segments}) + "\n"
    return "".join(f"{segment.text}\n" for segment in segments)


def _json(by_file: dict[Path, list[Segment]] | dict[Path, Sequence[Segment]]) -> str:
    files = [
        {
            "file": str(path),
            "text": " ".join(segment.text for segment in segments),
            "segments": [
                {"start": s.start, "end": s.end, "text": s.text, "looped": s.looped}
                for s in segments
            ],
        }
        for path, segments in by_file.items()
    ]
    return structured("json", {"files": files})


def _srt(segments: Sequence[Segment]) -> str:
    spoken = [segment for segment in segments if segment.text]
    return "\n".join(
        f"{number}\n{_time(s.start)} --> {_time(s.end)}\n{s.text}\n"
        for number, s in enumerate(spoken, 1)
    )


def _time(seconds: float) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02},{thousandths:03}"


def _make(folder: Path) -> None:
    """Makes the folder for the texts before any work is done for it."""
    with _named():
        folder.mkdir(parents=True, exist_ok=True)


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    with _named():
        part.write_text(text, encoding="utf-8")
        part.replace(path)


@contextmanager
def _named() -> Iterator[None]:
    """Turns an error of a file into one that names the option."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"--output-dir: {error.filename}: {reason}.") from None
