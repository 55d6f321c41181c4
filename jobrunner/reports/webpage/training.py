"""The part of a page about one run: where its model is, its settings, its learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from jobrunner.reports.details import Details, Setting
from jobrunner.reports.usage import usage
from jobrunner.reports.webpage.curve import curves


def model(details: Details) -> str:
    """The place of the fine-tuned model and the lines that load it; empty if there is none."""
    record = details.record
    if not details.exported or record is None:
        return ""
    use = usage(details.storage, details.run, lang=record.spec.lang, model=record.spec.model)
    fetch = f"<p>Fetch it:</p><pre>{escape(use.command)}</pre>" if use.command else ""
    return (
        f'<h3>The model</h3><p>It is in <span class="path">{escape(use.place)}</span>.</p>{fetch}'
        f"<p>Use it from Python; ffmpeg decodes the file:</p><pre>{escape(use.python)}</pre>"
    )


def training(details: Details) -> str:
    """Settings, those that were chosen first, and the learning curve."""
    parts = []
    trains = details.record is not None and details.record.spec.task == "fine-tune"
    settings = [each for each in details.settings if trains or not each.path.startswith("train.")]
    chosen = [each for each in settings if each.chosen]
    defaults = [each for each in settings if not each.chosen]
    if chosen:
        parts += ["<h3>Settings</h3>", _listed(chosen)]
    if defaults:
        words = f"{len(defaults)} settings at their defaults"
        parts.append(f"<details><summary>{words}</summary>{_listed(defaults)}</details>")
    drawn = curves(details.curve) if details.curve else ""
    if drawn:
        parts += ["<h3>Learning curve</h3>", drawn]
    return "\n".join(parts)


def _listed(settings: Sequence[Setting]) -> str:
    items = []
    for each in settings:
        value = escape(each.value) or "none"
        default = f" <small>(default {escape(each.default) or 'none'})</small>"
        # Without a default there is nothing to compare with.
        shown = default if each.chosen and each.path != "lang" else ""
        items.append(f"<dt><code>{escape(each.path)}</code></dt><dd>{value}{shown}</dd>")
    return f'<dl class="settings">{"".join(items)}</dl>'
