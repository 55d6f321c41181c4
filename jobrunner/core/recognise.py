"""`python -m jobrunner.core.recognise`: texts of audio files, as a process of its own.

A client without torch starts it. It reads one JSON object from stdin and writes a line of JSON for
each piece of audio, in order:

    {"model": FOLDER, "language": CODE, "device": "auto", "longest": SECONDS, "files": [FILE]}
    {"file": 0, "start": 0.0, "end": 9.7, "text": "...", "looped": false}

An error is the last line: {"error": MESSAGE, "hint": HINT, "code": EXIT CODE}.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from jobrunner.core import recordings
from jobrunner.core.devices import choose_device, choose_dtype
from jobrunner.core.models import family_of
from jobrunner.core.models.base import Recogniser
from jobrunner.errors import DeviceError, JobrunnerError
from jobrunner.spec import RunSpec, parse

# Pieces decoded together. On a CPU there is little to gain, and each text is shown at once.
_BATCH_ON_GPU = 16


def transcribe(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The texts of all files, piece by piece.

    Raises:
        UsageError: a file cannot be read, or the model does not know the language.
        DataError: the folder has no readable model.
        DeviceError: a GPU was requested, but none is visible.
    """
    files = [Path(name) for name in request["files"]]
    for path in files:
        recordings.check(path)
    model, batch_size = _load(request)
    recipe = model.recipe
    longest = min(request["longest"] or recipe.longest_seconds, recipe.longest_seconds)
    found = (
        (number, piece)
        for number, path in enumerate(files)
        for piece in recordings.pieces(path, rate=recipe.rate, longest=longest)
    )
    while batch := list(itertools.islice(found, batch_size)):
        heard = recipe.listen([piece.samples for _, piece in batch])
        for (number, piece), hypothesis in zip(batch, model.decode(heard), strict=True):
            yield {
                "file": number,
                "start": round(piece.start, 3),
                "end": round(piece.end, 3),
                "text": hypothesis.text,
                "looped": hypothesis.looped,
            }


def _load(request: dict[str, Any]) -> tuple[Recogniser, int]:
    """The model, and the number of pieces to decode together."""
    device, visible = request["device"], torch.cuda.is_available()
    if device == "auto":
        device = "cuda" if visible else "cpu"
    if device == "cuda" and not visible:
        raise DeviceError("No GPU is visible.", hint="Leave --device out, or give --device cpu.")
    spec: RunSpec = parse(
        {
            "lang": request["language"],
            "model": request["model"],
            "task": "evaluate",
            # Any language, not only those of the default corpus.
            "data": {"source": f"folder:{request['model']}"},
            "resources": {"device": device},
        }
    )
    folder, chosen = Path(request["model"]), choose_device(spec.resources)
    model = family_of(folder).load(
        folder, spec, chosen, choose_dtype(spec.resources, chosen), language=spec.lang
    )
    return model, _BATCH_ON_GPU if chosen.type == "cuda" else 1


def entry() -> int:
    """Answers one request from stdin; returns the exit code."""
    try:
        for piece in transcribe(json.load(sys.stdin)):
            _write(piece)
    except JobrunnerError as error:
        _write({"error": error.message, "hint": error.hint, "code": error.exit_code})
        return error.exit_code
    return 0


def _write(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(entry())
