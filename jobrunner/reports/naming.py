"""What tells runs apart, in words: their settings that differ, most telling first."""

from __future__ import annotations

from collections.abc import Sequence

from jobrunner.reports.details import Details, Setting

# Settings in the order in which people think of them, and what they call them.
WORDS = {
    "model": "",
    "data.source": "data",
    "train.steps": "steps",
    "train.learning_rate": "rate",
    "train.batch_seconds": "seconds a step",
    "seed": "seed",
    "again": "again",
}
# Settings that say nothing about a result, or that each row of a page shows anyway.
SILENT = {"lang", "model_revision", "data.revision", "evaluate.languages"}
MOST = 4


def differences(details: Sequence[Details]) -> dict[str, str]:
    """By run, the settings in which it differs from the others: `steps 400 · rate 0.0015`.

    A run whose record cannot be read has an empty text, and so has a run that is alone.
    """
    found = {each.run: {s.path: s for s in each.settings} for each in details if each.settings}
    paths = dict.fromkeys(path for settings in found.values() for path in settings)
    differing = [
        path
        for path in sorted(paths, key=_place)
        if path not in SILENT
        and len({settings[path].value for settings in found.values() if path in settings}) > 1
    ]
    texts = {
        run: " · ".join(_text(settings[p]) for p in differing[:MOST] if p in settings)
        for run, settings in found.items()
    }
    return {each.run: texts.get(each.run, "") for each in details}


def _place(path: str) -> int:
    return list(WORDS).index(path) if path in WORDS else len(WORDS)


def _text(setting: Setting) -> str:
    name = WORDS.get(setting.path, setting.path.rpartition(".")[2].replace("_", " "))
    return f"{name} {setting.value or 'none'}".strip()
