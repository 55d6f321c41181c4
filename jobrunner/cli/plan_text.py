"""The plan of a run as text for people."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from jobrunner.cli.output import escape, folded, paint
from jobrunner.spec import schedule

if TYPE_CHECKING:
    from jobrunner.catalog.backends import BackendFacts
    from jobrunner.runner.prepare import Prepared
    from jobrunner.spec import RunSpec
    from jobrunner.spec.fit import MemoryEstimate
    from jobrunner.spec.plan import Plan


def plan_text(
    ready: Prepared, backend: BackendFacts, *, done: Collection[str] = (), err: bool = False
) -> str:
    """The plan in lines: what the run will do, where, and at what cost.

    Args:
        ready: the plan and what the checks counted.
        backend: facts about its backend.
        done: names of stages that have succeeded and are not repeated.
        err: True for text that goes to stderr.
    """
    from jobrunner.catalog import languages

    plan, spec = ready.plan, ready.plan.spec
    language = languages.find(spec.lang)
    lines = [
        ("run", plan.run),
        ("language", f"{language.name} ({language.code})"),
        ("model", _model(spec)),
        ("data", _data(spec)),
        *((("clips", _clips(ready)),) if ready.speech else ()),
        ("training", "done before" if "train" in done else _training(ready)),
        ("stages", _stages(plan)),
        ("device", _device(plan, backend)),
        *((("memory", _memory(ready.memory)),) if ready.memory and "train" not in done else ()),
        ("storage", spec.storage or "none"),
        ("cost", "that of the new evaluations" if "train" in done else _cost(ready)),
    ]
    return "\n".join(
        f"{paint(f'{name:<9}', '', err=err, bold=True)} {folded(escape(text), 10, err=err)}"
        for name, text in lines
    )


def _model(spec: RunSpec) -> str:
    from jobrunner.catalog.models import PRESETS

    preset = PRESETS.get(spec.model)
    if preset:
        return f"{preset.name}, {preset.parameters / 1e6:,.0f} M parameters ({preset.repo})"
    revision = f", revision {spec.model_revision}" if spec.model_revision else ""
    return f"{spec.model}{revision}"


def _data(spec: RunSpec) -> str:
    data = spec.data
    parts = [data.source.text]
    if spec.task == "fine-tune" and data.train_split:
        parts.append(f"trained on {data.train_split}")
    if spec.task == "fine-tune" and data.validation_split:
        parts.append(f"validated on {data.validation_split}")
    return ", ".join([*parts, f"tested on split {data.test_split}"])


def _clips(ready: Prepared) -> str:
    """How many clips each split gets of how many rows, and where the others are."""
    texts = []
    for counts in ready.speech:
        kept = [
            f"{number:,} {role}{' (held out)' * (role == 'validation' and counts.held_out)}"
            for role, number in counts.kept.items()
        ]
        left_out = [f"{number:,} {reason}" for reason, number in counts.left_out.items()]
        text = f"{', '.join(kept) or 'none'} of {counts.rows:,} row{'s' * (counts.rows != 1)}"
        text += f"; left out: {', '.join(left_out)}" if left_out else ""
        texts.append(f"{counts.language}: {text}" if len(ready.speech) > 1 else text)
    return "; ".join(texts)


def _training(ready: Prepared) -> str:
    spec, train = ready.plan.spec, ready.plan.spec.train
    if spec.task == "evaluate":
        return "none: the model is measured as it is"
    if train.is_exact or ready.estimate.exact:
        numbers = schedule.applied(train, seconds=ready.estimate.seconds, rate=ready.rate or 1.0)
        warmup = f" after {numbers.warmup_steps:,} steps of warm-up"
        saves = f"saved every {numbers.save_every:,} steps"
    else:
        warmup, saves = " after a warm-up", f"saved every {train.save_every:,} steps at most"
    rate = f"{ready.rate:g}" if ready.rate else "of the model's size"
    stops = f"stops after {train.patience} validations without a gain" if train.patience else ""
    adapters = f"adapters of rank {train.lora_rank}" if train.lora_rank else ""
    parts = [_length(ready), f"learning rate {rate}{warmup}", saves, stops, adapters]
    return ", ".join(part for part in parts if part)


def _length(ready: Prepared) -> str:
    """How many steps there are, and why."""
    train, estimate = ready.plan.spec.train, ready.estimate
    of = f"of {train.batch_seconds:g} s of audio"
    if train.is_exact:
        return f"{train.steps:,} steps {of}"
    epochs = f"{train.epochs:g} epoch{'s' * (train.epochs != 1)}"
    if not estimate.exact:
        most = f", {train.steps:,} steps at most" if train.steps else ""
        return f"{epochs}{most}, {of[3:]} a step"
    hours = f"{estimate.seconds / 3600:.1f} h" if estimate.seconds >= 3600 else ""
    hours = hours or f"{estimate.seconds / 60:.0f} min"
    if estimate.steps == train.steps:
        return f"{train.steps:,} steps {of}, the most, for fewer than {epochs} of {hours}"
    return f"about {estimate.steps:,} step{'s' * (estimate.steps != 1)} {of} ({epochs} of {hours})"


def _stages(plan: Plan) -> str:
    before = [stage.name for stage in plan.stages if not stage.language]
    languages = [stage.language for stage in plan.stages if stage.language]
    return " → ".join([*before, f"evaluate {', '.join(languages)}"])


def _device(plan: Plan, backend: BackendFacts) -> str:
    resources = plan.spec.resources
    gpus = max(stage.gpus for stage in plan.stages)
    namespace = f"in namespace {plan.spec.cluster.namespace}"
    where = backend.where.replace("on", "of", 1) if backend.is_here else namespace
    if not gpus:
        return f"CPU {where}"
    product = f" {resources.gpu_product}" if resources.gpu_product else ""
    return f"{gpus} GPU{'s' * (gpus > 1)}{product} {where}"


def _memory(found: MemoryEstimate) -> str:
    """The estimate of a GPU's memory, by which the windows at a time were chosen."""
    how = "on" if found.cost.checkpointing else "off"
    at_a_time = f"{found.windows} window{'s' * (found.windows > 1)} at a time"
    gib = f"{found.bytes / 2**30:.0f}"
    if found.gib is None:
        return f"at least {gib} GiB on each GPU, {at_a_time}, activation checkpointing {how}"
    least = "at least " if found.windows > 1 else ""
    return (
        f"about {gib} of {found.gib:.0f} GiB on each GPU, activation checkpointing {how}, "
        f"{least}{at_a_time}"
    )


def _cost(ready: Prepared) -> str:
    plan, estimate = ready.plan, ready.estimate
    if estimate.gpu_hours is not None:
        about = "about" if estimate.exact else "at most"
        return f"{about} {_hours(estimate.gpu_hours)} GPU hours for training, an estimate"
    if not any(stage.gpus for stage in plan.stages):
        return "no GPU hours; how long it takes on this CPU is not known beforehand"
    if plan.spec.task == "evaluate":
        return "no estimate is known for an evaluation"
    if estimate.steps is None:
        return "no estimate is known before the speech is prepared"
    return "no estimate is known for a model without a preset"


def _hours(hours: float) -> str:
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.1f}" if hours >= 0.1 else "0.1"
