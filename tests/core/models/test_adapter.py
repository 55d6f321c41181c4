"""Adapters: what they train, save and resume, and what becomes of them at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peft
import pytest
import safetensors.torch
import torch
from accelerate.state import AcceleratorState
from transformers import WhisperForConditionalGeneration

from jobrunner.core import evaluate, train
from jobrunner.core.checkpoint.store import Checkpoints
from jobrunner.core.models import adapter, whisper
from jobrunner.core.training.trainer import Trainer
from jobrunner.core.training.validation import Measured, Validation
from jobrunner.errors import SpecError
from jobrunner.scoring.metrics import METRICS
from jobrunner.scoring.result import Result
from jobrunner.spec import RunSpec, keys
from tests import builders
from tests.builders import run_id, stage_context
from tests.harness.stored import export_of, storage_of
from tests.harness.tiny import make_run, make_whisper

OPTIONS: dict[str, Any] = {
    "train__lora_rank": 4,
    "train__learning_rate": 0.05,
    "train__steps": 2,
    "train__save_every": 1,
    "train__validate_every": 1,
    "train__batch_seconds": 2.0,
    "resources__precision": "bf16",
}


class KilledError(BaseException):
    pass


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Accelerate keeps one precision for a process. What is validated is not of interest here."""
    AcceleratorState._reset_state(reset_partial_state=True)
    measured = Measured(metric=METRICS["wer"], value=0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Validation, "measure", lambda validation: measured)
        yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    """A run of adapters over frozen weights in bf16. Tests only look at it."""
    root = tmp_path_factory.mktemp("lora")
    spec = make_run(root, **OPTIONS)
    train.run(stage_context(spec, root / "scratch"))
    return spec


def tiny(root: Path) -> Path:
    return make_whisper(root / "model")


def load(folder: Path, **options: Any) -> whisper.Whisper:
    spec = builders.spec(**{f"train__{name}": value for name, value in options.items()})
    return whisper.load(folder, spec, "cpu", torch.float32, train=spec.train)


def plain(folder: Path) -> Any:
    return WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()


def logits(model: Any) -> torch.Tensor:
    random = torch.Generator().manual_seed(5)
    features = torch.randn(2, 80, 200, generator=random)
    ids = torch.randint(0, 250, (2, 9), generator=random)
    with torch.inference_mode():
        found: torch.Tensor = model(input_features=features, decoder_input_ids=ids).logits
    return found


def checkpoint(spec: RunSpec, root: Path) -> Path:
    """The folder of the last checkpoint."""
    found = Checkpoints(storage_of(spec), run_id(spec), "reader", root, print).restore()
    assert found is not None
    return found.folder


def test_an_adapter_changes_nothing_before_it_is_trained(tmp_path: Path) -> None:
    folder = tiny(tmp_path)
    model = load(folder, lora_rank=4)
    assert torch.equal(logits(model.module), logits(plain(folder)))
    learning = [name for group in model.groups() for name in group.parameters]
    assert len(learning) == 2 * (2 * 6 + 2 * 10)
    assert all(".lora_A." in name or ".lora_B." in name for name in learning)


def test_what_is_frozen_gets_no_adapter(tmp_path: Path) -> None:
    model = load(tiny(tmp_path), lora_rank=2, lora_targets=("q_proj",), freeze_encoder=True)
    learning = [name for group in model.groups() for name in group.parameters]
    assert len(learning) == 2 * 2 * 2
    assert all(name.startswith("model.decoder.") and ".q_proj." in name for name in learning)
    with pytest.raises(SpecError, match=r"train\.lora_targets: 'query' matches no linear layer"):
        load(tmp_path / "model", lora_rank=2, lora_targets=("query",))


def test_a_checkpoint_holds_the_adapters_alone(trained: RunSpec, tmp_path: Path) -> None:
    folder = checkpoint(trained, tmp_path)
    weights = safetensors.torch.load_file(folder / keys.WEIGHTS)
    assert weights
    assert all(".lora_" in name for name in weights)
    moments = safetensors.torch.load_file(folder / keys.OPTIMISER)
    assert all(".lora_" in name for name in moments)
    size = (folder / keys.WEIGHTS).stat().st_size
    assert size < (export_of(trained) / "model.safetensors").stat().st_size / 2


def test_the_export_is_the_base_and_the_adapters_added_in_fp32(
    trained: RunSpec, tmp_path: Path
) -> None:
    base, merged = plain(Path(trained.model)), plain(export_of(trained))
    learnt = safetensors.torch.load_file(checkpoint(trained, tmp_path) / keys.WEIGHTS)
    exported = dict(merged.named_parameters())
    changed = 0
    for name, parameter in base.named_parameters():
        inside = name.removesuffix(".weight")
        low = learnt.get(f"{inside}.lora_A.default.weight")
        wanted = parameter.detach()
        if low is not None:
            high = learnt[f"{inside}.lora_B.default.weight"]
            wanted = wanted + 32.0 / 4 * (high @ low)
            changed += not torch.equal(wanted, parameter)
        torch.testing.assert_close(exported[name].detach(), wanted, rtol=0, atol=1e-6)
        if low is None:
            assert torch.equal(exported[name], parameter)
    assert changed == 2 * 6 + 2 * 10


# What peft 0.21 asks transformers 5.23 for.
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
def test_the_adapter_beside_the_export_gives_the_same_model_with_peft(trained: RunSpec) -> None:
    folder = export_of(trained) / adapter.FOLDER
    assert {path.name for path in folder.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"
    assert config["target_modules"] == sorted(config["target_modules"])
    base = plain(Path(trained.model))
    before = logits(base)
    adapted = peft.PeftModel.from_pretrained(base, folder).eval()
    found, merged = logits(adapted.base_model.model), logits(plain(export_of(trained)))
    torch.testing.assert_close(found, merged, rtol=1e-4, atol=1e-4)
    assert float((merged - before).abs().max()) > 0.01


def test_a_killed_training_of_adapters_ends_as_the_undisturbed_one(
    trained: RunSpec, tmp_path: Path
) -> None:
    spec = make_run(tmp_path, **OPTIONS)
    save, saves = Trainer.save, iter(range(2))

    def dying(trainer: Trainer) -> None:
        if next(saves):
            raise KilledError
        save(trainer)
        trainer.saver.wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "save", dying)
        with pytest.raises(KilledError):
            train.run(stage_context(spec, tmp_path / "scratch"))
    context = stage_context(spec, tmp_path / "scratch")
    train.run(context)
    assert "continuing from the checkpoint of step 1" in context.lines
    for name in (keys.WEIGHTS, keys.OPTIMISER):
        ours, theirs = checkpoint(spec, tmp_path / "a"), checkpoint(trained, tmp_path / "b")
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    for name in ("model.safetensors", "adapter/adapter_model.safetensors"):
        ours, theirs = export_of(spec), export_of(trained)
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()


def test_a_model_of_adapters_is_measured_as_any_other(trained: RunSpec, tmp_path: Path) -> None:
    # Not part of the run's id. A CPU decodes in bf16 ten times as slowly as in fp32.
    resources = trained.resources.model_copy(update={"precision": "fp32"})
    once = trained.evaluate.model_copy(update={"max_utterances": 1, "base": False})
    spec = trained.model_copy(update={"resources": resources, "evaluate": once})
    context = stage_context(spec, tmp_path)
    evaluate.run(context, language="el")
    key = keys.result_file(context.run, "tuned", trained.data.source.name, "el")
    measured = Result.model_validate_json(context.storage.read(key))
    assert measured.scores.lead.value > 0
