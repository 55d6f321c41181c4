"""Adapters of a low rank beside frozen weights (LoRA; Hu et al. 2021, arXiv 2106.09685)."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch

from jobrunner.spec import TrainSpec, keys, weights

# Folder of the adapter, below that of the model it was merged into.
FOLDER = "adapter"
_CONFIG = "adapter_config.json"


def add(module: torch.nn.Module, train: TrainSpec) -> Any:
    """Gives linear layers an adapter and freezes everything else; returns peft's view of both.

    A layer whose weights the options freeze gets none. An adapter begins with random numbers whose
    product is 0, so that the model is at first what it was.

    Raises:
        SpecError: a target matches no layer.
    """
    import peft

    learning = {name for name, p in module.named_parameters() if p.requires_grad}
    layers = [
        name
        for name, part in module.named_modules()
        if isinstance(part, torch.nn.Linear) and f"{name}.weight" in learning
    ]
    config = peft.LoraConfig(
        r=train.lora_rank,
        lora_alpha=train.lora_alpha,
        target_modules=weights.adapted(layers, train),
        lora_dropout=0.0,
        bias="none",
    )
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5.23 for a property that it calls deprecated.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
        return peft.get_peft_model(module, config)


def save(adapted: Any, folder: Path, *, base: str) -> None:
    """Writes the adapter as peft reads it.

    Args:
        adapted: from `add`.
        folder: destination.
        base: name of the base model, for whoever loads the adapter.
    """
    # Otherwise it would ask the hub for the size of the vocabulary.
    adapted.save_pretrained(folder, save_embedding_layers=False)
    # A card without content.
    (folder / keys.CARD).unlink(missing_ok=True)
    config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base
    # A set, whose order differs from process to process.
    config["target_modules"] = sorted(config["target_modules"])
    (folder / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def merge(adapted: Any) -> Any:
    """The model with its adapters added to its weights, and gone themselves."""
    return adapted.merge_and_unload()
