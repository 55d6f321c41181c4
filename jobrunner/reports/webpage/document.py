"""The whole page: what was found, then how it was made, then where the figures come from."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape

from jobrunner.catalog import languages
from jobrunner.reports.details import Details
from jobrunner.reports.format import percent
from jobrunner.reports.naming import differences
from jobrunner.reports.webpage.examples import examples
from jobrunner.reports.webpage.figures import figures, ways
from jobrunner.reports.webpage.plot import NARROW, WIDE, WIDE_WITH_NOTES, svg
from jobrunner.reports.webpage.style import STYLE
from jobrunner.reports.webpage.training import model, training
from jobrunner.scoring.metrics import RATES
from jobrunner.scoring.result import Comparison
from jobrunner.scoring.text import WAYS


def page(
    comparisons: Sequence[Comparison],
    details: Sequence[Details] = (),
    *,
    title: str = "Speech recognition results",
) -> str:
    """The page as one HTML document.

    Args:
        comparisons: the rows, in this order; at least one.
        details: what is known of their runs besides.
        title: heading and name of the page.
    """
    notes = _notes(comparisons, details)
    several = bool(notes)
    comparisons = _in_order(comparisons) if several else comparisons
    layouts = (WIDE_WITH_NOTES if several else WIDE, NARROW)
    origins = "\n".join(_origin(comparison) for comparison in comparisons)
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="lede">{escape(_summary(comparisons))}</p>',
            '<p class="key"><span><i></i>base model</span>'
            '<span><i class="full"></i>fine-tuned</span><span>bars: 95 % intervals</span></p>',
            *(svg(comparisons, notes, layout) for layout in layouts),
            "<h2>In figures</h2>",
            figures(comparisons, notes),
            *_runs(details, notes),
            "<h2>Three ways to count</h2>",
            _folded("All rates", ways(comparisons, notes)) if several else ways(comparisons, notes),
            _how_to_read(comparisons),
            "<h2>Where the figures come from</h2>",
            _folded("All sources", origins) if several else origins,
            "</body>\n</html>\n",
        ]
    )


def _in_order(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Results of several runs, those of one test set side by side, the lowest rate first."""
    return sorted(
        comparisons,
        key=lambda c: (
            c.language != c.either.trained_on,
            c.language,
            c.test_set,
            c.either.scores.lead.value,
        ),
    )


def _folded(words: str, content: str) -> str:
    return f"<details><summary>{words}</summary>{content}</details>"


def _notes(comparisons: Sequence[Comparison], details: Sequence[Details]) -> dict[str, str]:
    """By run, what tells it from the others; nothing if there is only one."""
    runs = list(dict.fromkeys(comparison.run for comparison in comparisons))
    known = differences(details)
    return {run: known.get(run) or run for run in runs} if len(runs) > 1 else {}


def _runs(details: Sequence[Details], notes: Mapping[str, str]) -> list[str]:
    """One part for each run; several are folded away under their names."""
    found = [(each, _run(each)) for each in details]
    shown = [(each, parts) for each, parts in found if parts]
    if len(details) == 1:
        return [parts for _, parts in shown]
    sections = []
    for each, parts in shown:
        note = notes.get(each.run, "")
        small = f"<small>{escape(note)}</small>" if note != each.run else ""
        sections.append(
            f'<details class="run"><summary><b>{escape(each.run)}</b>{small}</summary>'
            f"{parts}</details>"
        )
    return ["<h2>The runs</h2>", *sections] if sections else []


def _run(details: Details) -> str:
    made = [part for part in (model(details), training(details)) if part]
    parts = ["<h2>How it was made</h2>", *made] if made else []
    if details.examples:
        parts += ["<h2>What it wrote</h2>", *(examples(each) for each in details.examples)]
    return "\n".join(parts)


def _summary(comparisons: Sequence[Comparison]) -> str:
    """The main finding: the run's own language first, then how many others changed."""
    measured = [c for c in comparisons if c.change]
    if not measured:
        return "Base and fine-tuned model were not both measured."
    if len({comparison.run for comparison in measured}) > 1:
        return _counts(measured, f"{len(measured)} test sets")
    own = [c for c in measured if c.language == c.either.trained_on]
    others = [c for c in measured if c not in own]
    sentences = [_before_and_after(comparison) for comparison in own]
    return " ".join(sentences + ([_counts(others, f"{len(others)} others")] if others else []))


def _before_and_after(comparison: Comparison) -> str:
    assert comparison.base
    assert comparison.tuned
    assert comparison.change
    return (
        f"{languages.find(comparison.language).label}: "
        f"{comparison.either.scores.metric.label} "
        f"{percent(comparison.base.scores.lead, interval=False)} % before fine-tuning, "
        f"{percent(comparison.tuned.scores.lead, interval=False)} % after, "
        f"{'a' if comparison.change.significant else 'no'} significant change."
    )


def _counts(comparisons: Sequence[Comparison], of: str) -> str:
    changes = [c.change for c in comparisons if c.change and c.change.significant]
    better = sum(change.value < 0 for change in changes)
    return f"Of {of}, {better} became significantly better and {len(changes) - better} worse."


def _how_to_read(comparisons: Sequence[Comparison]) -> str:
    lines = [
        " ".join(f"<b>{metric.label}</b> is {metric.description}." for metric in RATES),
        " ".join(f"<b>{way.label}</b> {way.description}." for way in WAYS),
        "Brackets hold 95 % bootstrap intervals. An asterisk marks a change whose interval, "
        "resampled for both models together, excludes zero.",
        "<b>Speed</b> is seconds of audio decoded in a second, greedily.",
    ]
    cut = [c.language for c in comparisons if languages.find(c.language).vowel_signs]
    if cut:
        names = escape(", ".join(dict.fromkeys(languages.find(code).label for code in cut)))
        lines.append(
            f"In {names} the basic way deletes vowel signs, which makes error rates look lower."
        )
    return f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>"


def _origin(comparison: Comparison) -> str:
    either = comparison.either
    scores = either.scores
    left_out = f"{scores.empty_references} without a reference left out"
    facts = {
        "Run": comparison.run,
        "Model": f"{either.model}, fine-tuned for {languages.find(either.trained_on).label}"
        if comparison.tuned
        else either.model,
        "Test set": f"{either.test_set}, {either.split}: {scores.utterances} utterances, "
        f"{left_out}; intervals over {scores.clusters} {scores.resampled}",
        "Data": either.data_digest,
        "Measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(either.finished))
        + f" on {either.device}, {either.settings.precision}, {either.settings.decoding}",
        "Software": ", ".join(f"{name} {v}" for name, v in sorted(either.software.items())),
    }
    items = "".join(f"<dt>{k}</dt><dd>{escape(v)}</dd>" for k, v in facts.items() if v)
    return (
        f"<h3>{escape(languages.find(comparison.language).label)}</h3>"
        f'<dl class="origin">{items}</dl>'
    )
