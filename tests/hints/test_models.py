"""Models that are refused, and those that their hints name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import WhisperForConditionalGeneration

from tests.harness.commandline import Jobrunner, jobrunner
from tests.harness.here import here
from tests.harness.modelfolders import CONFIG, EMBEDDING, write_model_folder, write_tensors
from tests.harness.paths import MICRO
from tests.hints.case import Case, follow, instead, without

__all__ = ["here", "jobrunner"]

MODEL = Path("model")
WEIGHTS, INDEX = MODEL / "model.safetensors", MODEL / "model.safetensors.index.json"
OWN = instead("--model", "./model")
FORM = "It must be a Whisper in Hugging Face form: config.json, *.safetensors, tokenizer."


def _language(code: str, model: str) -> tuple[str, ...]:
    return (*without("--lang", "--model"), "--lang", code, "--model", model)


def _spoiled(spoil: Callable[[], object], *, hint: str, repair: Callable[[], object]) -> Case:
    """A mistake in a folder of a model."""
    return Case(
        mistake=lambda: (write_model_folder(MODEL), spoil()),
        wrong=OWN,
        hint=hint,
        repair=repair,
        right=OWN,
    )


def _copied() -> None:
    shutil.rmtree(MODEL)
    write_model_folder(MODEL)


def _parts(*present: int, tensors: tuple[str, str] = (EMBEDDING, "b")) -> Callable[[], object]:
    """Writes weights in two parts, of which some are there."""
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]

    def write() -> None:
        WEIGHTS.unlink(missing_ok=True)
        for number in present:
            write_tensors(MODEL / names[number - 1], tensors[number - 1])
        INDEX.write_text(json.dumps({"weight_map": {EMBEDDING: names[0], "b": names[1]}}))

    return write


def _as_pytorch() -> None:
    """A Whisper as old versions of transformers saved it."""
    import torch

    model = WhisperForConditionalGeneration.from_pretrained(MICRO)
    shutil.copytree(MICRO, MODEL)
    WEIGHTS.unlink()
    torch.save(model.state_dict(), MODEL / "pytorch_model.bin")


def _saved_again() -> None:
    config = WhisperForConditionalGeneration.config_class.from_pretrained(MODEL)
    import torch

    model = WhisperForConditionalGeneration(config)
    model.load_state_dict(torch.load(MODEL / "pytorch_model.bin", weights_only=True))
    (MODEL / "pytorch_model.bin").unlink()
    model.save_pretrained(MODEL)


def _config(**changes: object) -> Callable[[], object]:
    return lambda: (MODEL / "config.json").write_text(json.dumps({**CONFIG, **changes}))


CASES = {
    "no folder of a model": Case(
        wrong=instead("--model", "./no"), hint="Give the path of an existing one."
    ),
    "a misspelt preset": Case(
        wrong=instead("--model", "wisper-small"),
        hint="Nearest: whisper-small, {}.",
        right=instead("--model", "whisper-small"),
    ),
    "a preset that does not exist": Case(
        wrong=instead("--model", "nothing"), hint="See `jobrunner models`.", right=("models",)
    ),
    "a model of English": Case(
        wrong=instead("--model", "whisper-tiny.en"),
        hint="Use whisper-tiny.",
        right=instead("--model", "whisper-tiny"),
    ),
    "a language without a token": Case(
        wrong=_language("ga", "whisper-tiny"),
        hint="`jobrunner languages` shows which languages Whisper knows.",
        right=("languages",),
    ),
    "Cantonese": Case(
        wrong=_language("yue", "whisper-small"),
        hint="Whisper has Cantonese since large-v3: use whisper-large-v3 or whisper-turbo.",
        right=_language("yue", "whisper-turbo"),
    ),
    "no config": _spoiled((MODEL / "config.json").unlink, hint=FORM, repair=_copied),
    "no JSON": _spoiled(
        lambda: (MODEL / "config.json").write_text("{"),
        hint="It must be a {} in Hugging Face form: config.json, *.safetensors, tokenizer.",
        repair=_copied,
    ),
    "another family": _spoiled(_config(model_type="bert"), hint=FORM, repair=_copied),
    "no processor": _spoiled(
        (MODEL / "preprocessor_config.json").unlink,
        hint="Copy it from the model that this one was made from.",
        repair=lambda: shutil.copy(next(MICRO.glob("*processor_config.json")), MODEL),
    ),
    "a part without its tensor": _spoiled(
        _parts(1, 2, tensors=(EMBEDDING, "c")), hint="Copy it again.", repair=_parts(1, 2)
    ),
    "weights that are cut off": _spoiled(
        lambda: WEIGHTS.write_bytes(WEIGHTS.read_bytes()[:-5]),
        hint="Copy it again.",
        repair=_copied,
    ),
    "a loop": _spoiled(
        lambda: (MODEL / "loop").symlink_to("."), hint="Remove it.", repair=(MODEL / "loop").unlink
    ),
    "a pipe": _spoiled(
        lambda: os.mkfifo(MODEL / "pipe"), hint="Remove it.", repair=(MODEL / "pipe").unlink
    ),
    "a pointer": _spoiled(
        lambda: WEIGHTS.write_text("version https://git-lfs.github.com/spec/v1\n"),
        hint="Run `git lfs install` and `git lfs pull` in the model's folder.",
        repair=_copied,
    ),
    "weights of another name": _spoiled(
        lambda: WEIGHTS.rename(MODEL / "tiny.safetensors"),
        hint="Rename tiny.safetensors to model.safetensors.",
        repair=lambda: (MODEL / "tiny.safetensors").rename(WEIGHTS),
    ),
    "weights of pytorch": Case(
        mistake=_as_pytorch,
        wrong=OWN,
        hint="It has pytorch_model.bin only: load it in transformers, and save it with "
        "save_pretrained.",
        repair=_saved_again,
        right=OWN,
    ),
    "a part that is missing": _spoiled(_parts(1), hint="Copy the file too.", repair=_parts(1, 2)),
    "another model's config": _spoiled(
        _config(vocab_size=51865), hint="Take both from the same model.", repair=_config()
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_model_brought_as_the_hint_says_is_taken(
    name: str, jobrunner: Jobrunner, here: Path
) -> None:
    follow(CASES[name], jobrunner, here)
