"""Names for runs made of the settings that differ, the clearest difference first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

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
SILENT = {
    *("lang", "model_revision", "data.revision", "train.save_every", "train.validate_every"),
    *("train.validation_utterances", "evaluate.languages", "evaluate.batch_size"),
}
MOST = 4


def differences(details: Sequence[Details]) -> dict[str, str]:
    """By run, the settings in which it differs from the others: `steps 400 · rate 0.0015`.

    Runs are left out whose records cannot be read, and those that have the same text.
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
        run: " · ".join([_text(s[p]) for p in differing if _is_told(p, s)][:MOST])
        for run, s in found.items()
    }
    named = Counter(texts.values())
    return {each.run: texts[each.run] for each in details if named[texts.get(each.run, "")] == 1}


def _is_told(path: str, settings: Mapping[str, Setting]) -> bool:
    """True for a setting that people think of, and for any other that was chosen."""
    return path in settings and (path in WORDS or settings[path].chosen)


def _place(path: str) -> int:
    return list(WORDS).index(path) if path in WORDS else len(WORDS)


def _text(setting: Setting) -> str:
    name = WORDS.get(setting.path, setting.path.rpartition(".")[2].replace("_", " "))
    return f"{name} {setting.value or 'none'}".strip()
