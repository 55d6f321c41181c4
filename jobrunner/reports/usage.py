"""Tells where the model of a run is, and the lines that load it: several commands print this."""

from __future__ import annotations

import json
from dataclasses import dataclass

from jobrunner.catalog import languages, models
from jobrunner.catalog.models import FAMILIES, Family
from jobrunner.spec import keys
from jobrunner.spec.types import is_remote

# The audio file in the lines; people put their own there.
AUDIO = "speech.wav"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How to use the model of one run."""

    place: str
    """The folder of the model: a path, or an S3 URL."""
    command: str
    """What to type first, to bring the model to this machine; empty if it is in a folder."""
    python: str
    """Three lines of Python that load the model and transcribe a file."""

    def __str__(self) -> str:
        """The text for a terminal, several lines."""
        lines = [f"The model is in {self.place}"]
        if self.command:
            lines += ["Fetch it:", f"    {self.command}"]
        lines += ["Use it (ffmpeg decodes the file):"]
        return "\n".join([*lines, *(f"    {line}" for line in self.python.splitlines())])


def usage(
    storage: str, run: str, *, lang: str, model: str = "", family: Family | None = None
) -> Usage:
    """How to use a run's fine-tuned model. Says nothing about whether it is there yet.

    Args:
        storage: URL of the run's storage, or its folder.
        run: the run id.
        lang: language that the run fine-tunes for.
        model: base model of the run.
        family: family of the model; None for that of the preset.
    """
    place = f"{storage.rstrip('/')}/{keys.export_prefix(run)}".rstrip("/")
    here = not is_remote(storage)
    return Usage(
        place=place,
        command="" if here else f"jobrunner export {run} ./{run}",
        python=python(place if here else f"./{run}", lang=lang, model=model, family=family),
    )


def python(place: str, *, lang: str, model: str = "", family: Family | None = None) -> str:
    """Three lines of Python that load a model and transcribe a file.

    Args:
        place: folder or hub id of the fine-tuned model.
        lang: language that the model is fine-tuned for.
        model: base model.
        family: family of the model; None for that of the preset.
    """
    arguments = _arguments(lang, model, family or _family(model))
    return (
        "from transformers import pipeline\n"
        f'recognise = pipeline("automatic-speech-recognition", model={_quoted(place)})\n'
        f'print(recognise({_quoted(AUDIO)}{arguments})["text"])'
    )


def _arguments(lang: str, model: str, family: Family) -> str:
    """The argument that names the language, for a model that takes one."""
    code = languages.find(lang).whisper_code
    if not family.takes_language or not code or model.endswith(".en"):
        return ""
    return f', generate_kwargs={{"language": {_quoted(code)}}}'


def _family(model: str) -> Family:
    preset = models.PRESETS.get(model)
    return FAMILIES[preset.family if preset else "whisper"]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
