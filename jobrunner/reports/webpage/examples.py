"""Examples of a page: what was said above what the model wrote, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from jobrunner.catalog import languages
from jobrunner.reports.examples import Example, Examples
from jobrunner.reports.format import faults
from jobrunner.scoring.alignment import Pair
from jobrunner.scoring.metrics import Unit

# Class of a pair by the kind of its error.
CLASSES = {"equal": "", "substitution": "s", "deletion": "d", "insertion": "a"}
LEGEND = (
    '<p class="note legend">Above what was said, below what the model wrote: '
    '<span class="s"><ins>another word</ins></span>, <span class="d"><del>left out</del></span>, '
    '<span class="a"><ins>added</ins></span>. Case and punctuation do not count.</p>'
)


def examples(found: Examples) -> str:
    """The worst and the median utterances of one result, each list folded away."""
    result = found.result
    label = escape(languages.find(result.language).label)
    model = "base model" if result.which == "base" else "fine-tuned model"
    parts = [f"<h3>{label}, {model}</h3>", LEGEND]
    own = result.language == result.trained_on
    for name, chosen in (("worst", found.worst), ("median", found.median)):
        if chosen:
            words = f"The {len(chosen)} {name} of {result.scores.utterances} utterances"
            parts.append(_list(words, chosen, found, shown=own and name == "worst"))
    return "\n".join(parts)


def _list(words: str, chosen: Sequence[Example], found: Examples, *, shown: bool) -> str:
    items = "".join(_item(example, found) for example in chosen)
    state = " open" if shown else ""
    return f'<details{state}><summary>{words}</summary><ol class="examples">{items}</ol></details>'


def _item(example: Example, found: Examples) -> str:
    result = found.result
    metric = result.scores.metric.label
    meta = escape(f"{example.clip} · {metric} {100 * example.rate:.0f} %: {faults(example.pairs)}")
    unit = result.scores.unit
    pairs = "".join(_pair(pair) for pair in _joined(example.pairs, unit))
    tight = " tight" if unit == "characters" else ""
    language = escape(result.language)
    texts = f'<div class="aligned{tight}" lang="{language}" dir="auto">{pairs}</div>'
    return f'<li><span class="meta">{meta}</span>{texts}</li>'


def _joined(pairs: Sequence[Pair], unit: Unit) -> list[Pair]:
    """The pairs; neighbouring characters with the same kind of error are one."""
    if unit == "words":
        return list(pairs)
    joined = []
    for kind, group in groupby(pairs, key=lambda pair: pair.kind):
        members = list(group)
        joined.append(
            Pair(
                kind=kind,
                reference="".join(pair.reference for pair in members),
                hypothesis="".join(pair.hypothesis for pair in members),
            )
        )
    return joined


def _pair(pair: Pair) -> str:
    above, below = escape(pair.reference), escape(pair.hypothesis)
    if pair.kind == "equal":
        return f"<span><b>{above}</b><i>{below}</i></span>"
    texts = (f"<del>{above}</del>" if above else "") + (f"<ins>{below}</ins>" if below else "")
    return f'<span class="{CLASSES[pair.kind]}">{texts}</span>'
