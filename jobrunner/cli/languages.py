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

    WHISPER tells whether Whisper has a token for the language, FLEURS its configuration there,
    COUNTED what errors are counted in. TEXT shows the languages whose name, code or script has it.
    """
    from jobrunner.catalog.languages import LANGUAGES

    wanted = (text or "").casefold()
    found = [
        language
        for language in LANGUAGES.values()
        if wanted in {language.code, language.iso639_3, language.script.casefold()}
        or any(wanted in name for name in (language.name.casefold(), *language.aliases))
    ]
    if kind == "name":
        out("\n".join(language.code for language in found))
    elif kind != "table":
        told = [{**asdict(language), "unit": language.unit} for language in found]
        out(structured(kind, {"languages": told}))
    elif not found:
        say("No language has that in its name, code or script.")
    else:
        rows = [
            (
                each.code,
                each.name,
                each.script,
                "yes" if each.whisper else "no",
                each.fleurs or "",
                each.unit,
            )
            for each in found
        ]
        out(columns(("CODE", "NAME", "SCRIPT", "WHISPER", "FLEURS", "COUNTED"), rows))
