"""One self-contained HTML page with the results: no script, no font, no request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from itertools import product

from jobrunner.catalog import languages
from jobrunner.reports.format import NOTHING, hours, percent, points
from jobrunner.reports.plot import svg
from jobrunner.scoring.metrics import RATES
from jobrunner.scoring.result import Comparison, Result
from jobrunner.scoring.text import WAYS

STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfb; --ink: #1d2328; --quiet: #5d6871;
  --line: #dfe3e6; --base: #6b7680; --tuned: #0b63b5; --good: #1a7f4b; --bad: #b3361c; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181c; --ink: #e6eaed; --quiet: #9aa5ae;
  --line: #2e363d; --base: #a3aeb7; --tuned: #68b0f4; --good: #57c98c; --bad: #f08a70; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 60rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: .95rem; margin: 1.2rem 0 .3rem; }
p, li { max-width: 44rem; }
.lede { color: var(--quiet); margin-top: 0; }
.wide { overflow-x: auto; }
svg { display: block; width: 100%; min-width: 34rem; height: auto; font-size: 13px; }
svg text { fill: var(--ink); }
svg .grid { stroke: var(--line); }
svg .tick { fill: var(--quiet); text-anchor: middle; font-size: 12px; }
svg .label { text-anchor: end; font-weight: 600; }
svg .note { text-anchor: end; fill: var(--quiet); font-size: 11px; }
svg .link { stroke: var(--line); stroke-width: 3; }
svg g line { stroke-width: 1.8; }
svg g text { text-anchor: middle; font-size: 12px; font-variant-numeric: tabular-nums; }
.base line, .base circle { stroke: var(--base); }
.base circle { fill: var(--paper); stroke-width: 2; }
.base text { fill: var(--base); }
.tuned line, .tuned circle { stroke: var(--tuned); }
.tuned circle { fill: var(--tuned); }
.tuned text { fill: var(--tuned); font-weight: 600; }
.key { display: flex; gap: 1.5rem; color: var(--quiet); font-size: .9rem; }
.key i { display: inline-block; width: .75em; height: .75em; border-radius: 50%; margin-right: .4em;
  border: 2px solid var(--base); }
.key i.full { border-color: var(--tuned); background: var(--tuned); }
table { border-collapse: collapse; width: 100%; font-size: .88rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .7rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
th[scope=row], th.left, td.left { text-align: left; color: var(--ink); }
td small { color: var(--quiet); }
.good { color: var(--good); } .bad { color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; font-size: .88rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
"""


def page(comparisons: Sequence[Comparison], *, title: str = "Speech recognition results") -> str:
    """The page as one HTML document.

    Args:
        comparisons: the rows, in this order; at least one.
        title: heading and name of the page.
    """
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="lede">{escape(_summary(comparisons))}</p>',
            '<p class="key"><span><i></i>base model</span>'
            '<span><i class="full"></i>fine-tuned</span><span>bars: 95 % intervals</span></p>',
            f'<div class="wide">{svg(comparisons)}</div>',
            "<h2>In figures</h2>",
            f'<div class="wide">{figures(comparisons)}</div>',
            "<h2>Three ways to count</h2>",
            f'<div class="wide">{_ways(comparisons)}</div>',
            _how_to_read(comparisons),
            "<h2>Where the figures come from</h2>",
            *(_origin(comparison) for comparison in comparisons),
            "</body>\n</html>\n",
        ]
    )


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


def figures(comparisons: Sequence[Comparison]) -> str:
    """The table of rates, changes and sizes."""
    names = ["Base, %", "Fine-tuned, %", "Change, points", "Utterances", "Hours", "Speed"]
    rows = [_row(_head(["Language", "Metric"], names))]
    for comparison in comparisons:
        either = comparison.either
        cells = [
            _rate_cell(comparison.base),
            _rate_cell(comparison.tuned),
            _change_cell(comparison),
            str(either.scores.utterances),
            hours(either.audio_seconds),
            f"{either.rtfx:.0f}×",
        ]
        rows.append(_row(_named(comparison) + "".join(f"<td>{cell}</td>" for cell in cells)))
    return f"<table>{''.join(rows)}</table>"


def _ways(comparisons: Sequence[Comparison]) -> str:
    columns = list(product(RATES, WAYS))
    names = [f"{metric.label} {way.name}" for metric, way in columns]
    rows = [_row(_head(["Language", "Model"], names))]
    for comparison in comparisons:
        for result in (comparison.base, comparison.tuned):
            if result is None:
                continue
            rates = [result.scores.rate(metric, way) for metric, way in columns]
            cells = "".join(f"<td>{percent(rate, interval=False)}</td>" for rate in rates)
            model = "base" if result.which == "base" else "fine-tuned"
            head = f'<th scope="row">{escape(languages.find(result.language).label)}</th>'
            rows.append(_row(f'{head}<td class="left">{model}</td>{cells}'))
    return f"<table>{''.join(rows)}</table>"


def _row(cells: str) -> str:
    return f"<tr>{cells}</tr>\n"


def _head(left: list[str], right: list[str]) -> str:
    return "".join(f'<th class="left">{escape(name)}</th>' for name in left) + "".join(
        f"<th>{escape(name)}</th>" for name in right
    )


def _named(comparison: Comparison) -> str:
    name = escape(languages.find(comparison.language).label)
    metric = comparison.either.scores.metric.label
    test_set = escape(comparison.test_set)
    return f'<th scope="row">{name}</th><td class="left">{metric} <small>on {test_set}</small></td>'


def _rate_cell(result: Result | None) -> str:
    if result is None:
        return NOTHING
    rate = result.scores.lead
    return f"{percent(rate, interval=False)} <small>{_span(rate.low, rate.high)}</small>"


def _change_cell(comparison: Comparison) -> str:
    change = comparison.change
    if change is None:
        return NOTHING
    kind = ("good" if change.value < 0 else "bad") if change.significant else ""
    span = _span(change.low, change.high)
    return f'<span class="{kind}">{points(change)}</span> <small>{span}</small>'


def _span(low: float, high: float) -> str:
    return f"[{100 * low:.1f}, {100 * high:.1f}]".replace("-", "−")


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
    return f"<h3>{escape(languages.find(comparison.language).label)}</h3><dl>{items}</dl>"
