"""`jobrunner languages`."""

from __future__ import annotations

from dataclasses import asdict

import click

from jobrunner.cli.options import output_option
from jobrunner.cli.output import columns, out, say, structured


@click.command(
    epilog="""\b
Examples:
  jobrunner languages
  jobrunner languages norw
  jobrunner languages Deva -o name
"""
)
@click.argument("text", required=False)
@output_option("table", "json", "yaml", "name")
def command(text: str | None, kind: str) -> None:
    """List the languages.

    WHISPER shows whether Whisper has a token for the language, FLEURS the name of its
    configuration in that corpus, and COUNTED the unit in which errors are counted. TEXT selects
    languages by a part of their name, or by code or script.
    """
    from jobrunner.catalog.languages import LANGUAGES

    wanted = (text or "").casefold()
    matches = [
        language
        for language in LANGUAGES.values()
        if wanted in {language.code, language.iso639_3, language.script.casefold()}
        or any(wanted in name for name in (language.name.casefold(), *language.aliases))
    ]
    if kind == "name":
        out("\n".join(language.code for language in matches))
    elif kind != "table":
        records = [{**asdict(language), "unit": language.unit} for language in matches]
        out(structured(kind, {"languages": records}))
    elif not matches:
        say("No language has that name, code or script.")
    else:
        rows = [
            (
                language.code,
                language.name,
                language.script,
                "yes" if language.whisper else "no",
                language.fleurs or "",
                language.unit,
            )
            for language in matches
        ]
        out(columns(("CODE", "NAME", "SCRIPT", "WHISPER", "FLEURS", "COUNTED"), rows))
