"""The model card of an export: `README.md` with the front matter of the Hugging Face hub.

A pure function of record and results. Training writes the card without results; every evaluation
rewrites it with all results so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from jobrunner.catalog import languages, models
from jobrunner.catalog.corpora import CORPORA
from jobrunner.catalog.models import Family
from jobrunner.reports import usage
from jobrunner.reports.plain import markdown
from jobrunner.scoring.metrics import RATES
from jobrunner.scoring.result import Result, compare
from jobrunner.spec import RunSpec, Source, names
from jobrunner.spec.record import RunRecord

# Stands for the folder in which the reader has the model.
HERE = "PATH OR HUB ID OF THIS MODEL"


def model_card(record: RunRecord, results: Sequence[Result], family: Family) -> str:
    """The card as Markdown.

    Args:
        record: the run that made the model.
        results: results of its evaluations so far, base and tuned, in any order.
        family: family of the model.
    """
    spec = record.spec
    front = yaml.safe_dump(
        _front_matter(record, results, family), sort_keys=False, allow_unicode=True, width=100
    )
    body = [
        _opening(record),
        _commits(results),
        _results(results),
        _use(spec, family),
        _training(spec),
    ]
    parts = [f"---\n{front}---", *body]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(record: RunRecord, results: Sequence[Result], family: Family) -> dict[str, Any]:
    spec = record.spec
    preset = models.PRESETS.get(spec.model)
    matter: dict[str, Any] = {
        "language": spec.lang,
        "license": preset.licence if preset else None,
        "library_name": "transformers",
        "pipeline_tag": "automatic-speech-recognition",
        "base_model": _hub_id(spec),
        "datasets": [each.facts.repo for each in spec.data.sources if each.facts.repo] or None,
        "tags": ["automatic-speech-recognition", family.title.lower(), "jobrunner"],
        "metrics": [metric.name for metric in RATES],
    }
    tuned = [c.tuned for c in compare(results) if c.tuned]
    if tuned:
        index = {"name": record.run, "results": [_index_entry(result) for result in tuned]}
        matter["model-index"] = [index]
    return {key: value for key, value in matter.items() if value is not None}


def _index_entry(result: Result) -> dict[str, Any]:
    corpus = CORPORA.get(result.test_set)
    config = (
        corpus.config_of(languages.find(result.language)) if corpus and corpus.config_of else None
    )
    dataset = {
        "name": result.test_set,
        "type": corpus.repo if corpus and corpus.repo else result.test_set,
        "config": config or None,
        "split": result.split,
        "args": {"language": result.language},
    }
    rates = [(metric, result.scores.rate(metric)) for metric in RATES]
    return {
        "task": {"type": "automatic-speech-recognition", "name": "Speech recognition"},
        "dataset": {key: value for key, value in dataset.items() if value is not None},
        "metrics": [
            {
                "type": metric.name,
                "name": f"{metric.label}, %",
                "value": round(100 * rate.value, 2),
            }
            for metric, rate in rates
            if rate
        ],
    }


def _opening(record: RunRecord) -> str:
    spec = record.spec
    label = languages.find(spec.lang).label
    base = _hub_id(spec)
    model = f"[{base}](https://huggingface.co/{base})" if base else names.model_name(spec.model)
    return f"# {record.run}\n\n{model}, fine-tuned to transcribe {label} speech on {_data(spec)}."


def _commits(results: Sequence[Result]) -> str:
    """Commits of base model and speech on the hub; empty until a result names one."""
    known = {
        "Base model": {result.model_commit for result in results},
        "Speech": {result.data_commit for result in results},
    }
    parts = [
        f"{what}: commit {', '.join(f'`{commit}`' for commit in sorted(commits - {''}))}"
        for what, commits in known.items()
        if commits - {""}
    ]
    return f"On the hub: {'; '.join(parts)}." if parts else ""


def _results(results: Sequence[Result]) -> str:
    comparisons = compare(results)
    if not comparisons:
        return ""
    return f"## Results\n\n{markdown(comparisons)}"


def _use(spec: RunSpec, family: Family) -> str:
    lines = usage.python(HERE, lang=spec.lang, model=spec.model, family=family)
    return f"## Use\n\n```python\n{lines}\n```"


def _training(spec: RunSpec) -> str:
    train = spec.train
    facts = [
        ("Steps", f"{train.steps}, the best by error rate on the validation split is exported"),
        ("Audio a step", f"{train.batch_seconds:g} s"),
        ("Peak learning rate", f"{train.learning_rate:g}, {train.warmup_steps} warm-up steps"),
        ("Encoder", "frozen" if train.freeze_encoder else "trained"),
        ("SpecAugment", "yes" if train.spec_augment else "no"),
        ("Seed", str(spec.seed)),
    ]
    lines = "\n".join(f"- {name}: {value}" for name, value in facts)
    return f"## Training\n\n{lines}"


def _hub_id(spec: RunSpec) -> str | None:
    """Id of the base model on the hub; None for a folder."""
    if spec.model in models.PRESETS:
        return models.PRESETS[spec.model].repo
    return None if models.is_folder(spec.model) else spec.model


def _data(spec: RunSpec) -> str:
    return ", ".join(_cited(source, spec.lang) for source in spec.data.sources)


def _cited(source: Source, language: str) -> str:
    facts = source.facts
    if not facts.repo:
        return f"`{source.name}`"
    config = facts.config(languages.find(language))
    link = f"[{facts.title}](https://huggingface.co/datasets/{facts.repo})"
    return f"{link} `{config}`" if config else link
