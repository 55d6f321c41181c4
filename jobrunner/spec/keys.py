"""Storage keys of everything that a run reads or writes.

Keys are relative to the storage URL; prefixes end with a slash. Other modules only append names
within a checkpoint, a data set or a published folder.
"""

from __future__ import annotations

import hashlib
import re

from jobrunner.catalog import models
from jobrunner.spec.identity import canonical_json, of_data
from jobrunner.spec.plan import Plan, Stage
from jobrunner.spec.run import RunSpec
from jobrunner.spec.types import slug
from jobrunner.storage.folders import MANIFEST

# Folders of all base models, of all prepared speech, and of all runs.
MODELS = "models/"
DATA = "data/"
RUNS = "runs/"
# Folders of a run → what people call their content.
PARTS = {"checkpoints": "checkpoints", "export": "export", "evaluations": "results", "logs": "logs"}
# Name of the object that makes a checkpoint count.
COMMIT = "COMMIT"
# Files of a checkpoint besides its manifest.
WEIGHTS = "model.safetensors"
OPTIMISER = "optimizer.safetensors"
STATE = "state.json"
HISTORY = "history.jsonl"
# Files of an export besides the model's own.
CARD = "README.md"
TRAINING = "training.json"
# File of a base model besides its own: where it is from.
ORIGIN = "origin.json"
_EVALUATIONS = "evaluations/"
_RESULT = "result.json"
_LOG = ".log"
# Suffix of the key of an attempt's end.
END = ".json"


def model_prefix(spec: RunSpec) -> str:
    """`models/<digest>/`: the base model, fetched once for all runs."""
    named = "" if models.is_folder(spec.model) else spec.model
    return f"{MODELS}{_digest(named, spec.model_revision)}/"


def data_prefix(spec: RunSpec, language: str) -> str:
    """`data/<digest>/`: prepared speech of one language, shared by runs with equal data fields."""
    return f"{DATA}{_digest(canonical_json(of_data(spec)), language)}/"


def split_prefix(spec: RunSpec, language: str, split: str) -> str:
    """`data/<digest>/train/`: one split of prepared speech, with a manifest of its own."""
    return f"{data_prefix(spec, language)}{split}/"


def run_prefix(run: str) -> str:
    """`runs/<run>/`."""
    return f"{RUNS}{run}/"


def part_of_run(key: str) -> tuple[str, str] | None:
    """Run and part of it (`checkpoints`, `run.json`) that a key belongs to; None if to no run."""
    run, _, rest = key.removeprefix(RUNS).partition("/")
    return (run, rest.partition("/")[0]) if key.startswith(RUNS) and rest else None


def shared_folder(key: str) -> str:
    """`models/<digest>/` or `data/<digest>/` of a key; empty for keys of neither."""
    top, _, rest = key.partition("/")
    digest, slash, _ = rest.partition("/")
    return f"{top}/{digest}/" if f"{top}/" in {MODELS, DATA} and slash else ""


def run_file(run: str) -> str:
    """Key of the run's record, with the spec as submitted."""
    return f"{run_prefix(run)}run.json"


def checkpoints_prefix(run: str) -> str:
    """`runs/<run>/checkpoints/`."""
    return f"{run_prefix(run)}checkpoints/"


def checkpoint_prefix(run: str, step: int) -> str:
    """`runs/<run>/checkpoints/step-00001000/`."""
    return f"{checkpoints_prefix(run)}step-{step:08d}/"


def checkpoint_step(run: str, key: str) -> int | None:
    """The step of the checkpoint that a key belongs to; None for any other key."""
    match = re.match(r"step-(\d+)/", key.removeprefix(checkpoints_prefix(run)))
    return int(match[1]) if match else None


def claims_prefix(run: str) -> str:
    """`runs/<run>/attempts/`: one object for each attempt at training that has begun."""
    return f"{run_prefix(run)}attempts/"


def claim_file(run: str, number: int) -> str:
    """Key of the claim of the `number`th attempt at training, counted from 1."""
    return f"{claims_prefix(run)}{number:08d}"


def proof_file(plan: Plan, stage: Stage) -> str:
    """Key of the object that proves a stage done; empty if the stage stores nothing of this run."""
    if stage.facts.trains:
        return f"{export_prefix(plan.run)}{MANIFEST}"
    if stage.language:
        which = "tuned" if plan.spec.task == "fine-tune" else "base"
        return result_file(plan.run, which, plan.spec.data.source.name, stage.language)
    return ""


def history_file(run: str) -> str:
    """Key of the history: one JSON object per line, with the measurements of training so far."""
    return f"{run_prefix(run)}{HISTORY}"


def upload_file(run: str) -> str:
    """Key of the upload speed that the last checkpoint had, for later attempts."""
    return f"{run_prefix(run)}upload.json"


def schedule_file(run: str) -> str:
    """Key of the numbers of training that follow from data and model: steps, learning rate."""
    return f"{run_prefix(run)}schedule.json"


def export_prefix(run: str) -> str:
    """Prefix of the fine-tuned model, in Hugging Face form."""
    return f"{run_prefix(run)}export/"


def evaluations_prefix(run: str) -> str:
    """`runs/<run>/evaluations/`."""
    return f"{run_prefix(run)}{_EVALUATIONS}"


def result_file(run: str, model: str, test_set: str, language: str) -> str:
    """Key of the result of one model (`base` or `tuned`) in one language; it is written last."""
    return f"{_evaluation(run, model, test_set, language)}{_RESULT}"


def predictions_file(run: str, model: str, test_set: str, language: str) -> str:
    """Key of the model's texts of all utterances, beside the result."""
    return f"{_evaluation(run, model, test_set, language)}predictions.parquet"


def is_result(key: str) -> bool:
    """True for the key of a result of any run."""
    return f"/{_EVALUATIONS}" in key and key.endswith(f"/{_RESULT}")


def logs_prefix(run: str, stage: str = "") -> str:
    """`runs/<run>/logs/`, or the part of one stage."""
    return f"{run_prefix(run)}logs/{f'{stage}/' if stage else ''}"


def log_file(run: str, stage: str, attempt: str) -> str:
    """Key of the log of one attempt."""
    return f"{logs_prefix(run, stage)}{attempt}{_LOG}"


def end_file(run: str, stage: str, attempt: str) -> str:
    """Key of the end of an attempt: its exit code, beside its log."""
    return f"{logs_prefix(run, stage)}{attempt}{END}"


def crash_file(run: str, stage: str) -> str:
    """Key of the last unexpected error of a stage."""
    return f"{run_prefix(run)}crashes/{stage}.json"


def attempt_of_log(run: str, key: str) -> tuple[str, str] | None:
    """Stage and attempt of the log at a key; None for any other key."""
    stage, _, file = key.removeprefix(logs_prefix(run)).partition("/")
    return (stage, file.removesuffix(_LOG)) if file.endswith(_LOG) else None


def _evaluation(run: str, model: str, test_set: str, language: str) -> str:
    return f"{evaluations_prefix(run)}{model}/{slug(test_set, 40)}/{language}/"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
