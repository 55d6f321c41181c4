"""`jobrunner models`."""

from __future__ import annotations

from dataclasses import asdict

import click

from jobrunner.cli.options import output_option
from jobrunner.cli.output import columns, out, say, structured


@click.command(
    epilog="""\b
Examples:
  jobrunner models
  jobrunner models large
  jobrunner models -o json
"""
)
@click.argument("text", required=False)
@output_option("table", "json", "yaml", "name")
def command(text: str | None, kind: str) -> None:
    """List the models that have presets.

    --model also takes any Whisper model on the hub (`owner/name`), and any folder that has one.
    TEXT selects presets by a part of their name.
    """
    from jobrunner.catalog.models import PRESETS

    wanted = (text or "").lower()
    matches = [p for p in PRESETS.values() if wanted in p.name or wanted in p.repo.lower()]
    if kind == "name":
        out("\n".join(preset.name for preset in matches))
    elif kind != "table":
        out(structured(kind, {"models": [asdict(preset) for preset in matches]}))
    elif not matches:
        say("No preset has that in its name. --model also takes any hub id and any folder.")
    else:
        out(
            columns(
                ("NAME", "PARAMETERS", "LEARNING RATE", "LANGUAGES", "HUB ID"),
                [
                    (
                        preset.name,
                        f"{preset.parameters / 1e6:,.0f} M",
                        f"{preset.learning_rate:g}",
                        "English" if preset.english_only else "all of Whisper",
                        preset.repo,
                    )
                    for preset in matches
                ],
            )
        )
