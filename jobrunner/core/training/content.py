"""The content of a checkpoint of training: weights, optimiser, loop state, history.

It has no random generators: these are seeded anew for each step (`optimiser.seed_step`).
"""

from __future__ import annotations

import safetensors
import safetensors.torch
import torch

from jobrunner.core.checkpoint.store import Restored
from jobrunner.core.checkpoint.train_state import TrainState
from jobrunner.core.training.optimiser import load_state, state_tensors
from jobrunner.core.training.setup import Setup
from jobrunner.errors import CheckpointError
from jobrunner.spec.keys import HISTORY, OPTIMISER, STATE, WEIGHTS


def tensors_of(setup: Setup) -> dict[str, dict[str, torch.Tensor]]:
    """File name → tensor name → tensor. Frozen weights are the base model's and left out."""
    return {WEIGHTS: dict(setup.trained), OPTIMISER: state_tensors(setup.optimiser, setup.groups)}


def files_of(state: TrainState) -> dict[str, bytes]:
    """The checkpoint's JSON files, by name: the loop's state and the history."""
    loop, history = state.to_json()
    return {STATE: loop, HISTORY: history}


def load_weights(setup: Setup, weights: dict[str, torch.Tensor]) -> None:
    """Puts trained weights into the model.

    Raises:
        ValueError: they belong to another model.
    """
    parameters = setup.trained
    if weights.keys() != parameters.keys():
        raise ValueError("its weights are of another model")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


def load(setup: Setup, restored: Restored, *, another: int = 1) -> TrainState:
    """Puts a checkpoint into model and optimiser; returns the state to continue from.

    Args:
        setup: model and optimiser.
        restored: the checkpoint.
        another: number for --again that makes another run of the same spec.

    Raises:
        CheckpointError: it belongs to another model or another version of this project.
    """
    folder = restored.folder
    try:
        load_weights(setup, safetensors.torch.load_file(folder / WEIGHTS))
        optimiser = safetensors.torch.load_file(folder / OPTIMISER)
        load_state(setup.optimiser, setup.groups, optimiser)
        return TrainState.from_json((folder / STATE).read_bytes(), (folder / HISTORY).read_bytes())
    except (ValueError, TypeError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"The checkpoint of step {restored.step} does not fit this run: {error}.",
            hint=f"To start over, submit it with --again {another}.",
        ) from error
