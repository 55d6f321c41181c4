"""What the headers of a model's folder show before a run starts."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jobrunner.errors import SpecError
from jobrunner.runner import model_folder
from tests.harness.modelfolders import CONFIG, EMBEDDING, write_model_folder, write_tensors
from tests.harness.paths import EXAMPLES

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 6020816\n"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
Spoil = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "model")


def _config(**changes: object) -> Spoil:
    return lambda m: (m / "config.json").write_text(json.dumps({**CONFIG, **changes}))


def _cut(name: str, size: int) -> Spoil:
    return lambda m: os.truncate(m / name, size)


def _text(name: str, text: str) -> Spoil:
    return lambda m: (m / name).write_text(text)


def _gone(name: str) -> Spoil:
    return lambda m: (m / name).unlink()


def _fifo(name: str) -> Spoil:
    def spoil(m: Path) -> None:
        (m / name).parent.mkdir(exist_ok=True)
        (m / name).unlink(missing_ok=True)
        os.mkfifo(m / name)

    return spoil


def _link(name: str) -> Spoil:
    def spoil(m: Path) -> None:
        (m / name).unlink()
        (m / name).symlink_to("nowhere")

    return spoil


def _sharded(m: Path, *, parts: int = 2, tensors: tuple[str, ...] = (EMBEDDING, "b")) -> None:
    (m / WEIGHTS).unlink()
    names = [f"model-0000{number + 1}-of-00002.safetensors" for number in range(2)]
    for name, tensor in list(zip(names, tensors, strict=False))[:parts]:
        write_tensors(m / name, tensor)
    weights = dict(zip((EMBEDDING, "b"), names, strict=True))
    (m / INDEX).write_text(json.dumps({"weight_map": weights}))


CASES: dict[str, tuple[Spoil, str]] = {
    "weights are a pointer": (_text(WEIGHTS, POINTER), "Git LFS pointer.*`git lfs pull`"),
    "tokenizer is a pointer": (_text("tokenizer.json", POINTER), "tokenizer.json is a Git LFS"),
    "config is a pointer": (_text("config.json", POINTER), "config.json is a Git LFS"),
    "weights are empty": (_cut(WEIGHTS, 0), "model.safetensors is empty"),
    "weights end in the length": (_cut(WEIGHTS, 5), "is not safetensors, or is damaged"),
    "weights end in the header": (_cut(WEIGHTS, 20), "is cut off after 20 bytes"),
    "weights end in the data": (_cut(WEIGHTS, 110), "is cut off: 110 bytes of "),
    "weights are a page": (_text(WEIGHTS, "<html>no such page</html>"), "is not safetensors"),
    "weights are longer": (
        lambda m: (m / WEIGHTS).write_bytes((m / WEIGHTS).read_bytes() + b"\0"),
        "1 bytes too many",
    ),
    "header is damaged": (
        lambda m: (m / WEIGHTS).write_bytes((m / WEIGHTS).read_bytes().replace(b"F16", b"F32")),
        "is damaged: its header",
    ),
    "header is nested": (
        lambda m: (m / WEIGHTS).write_bytes(b"\x50\xc3\0\0\0\0\0\0{" + b'"a":{' * 10_000),
        "is damaged",
    ),
    "weights of pytorch": (
        lambda m: (m / WEIGHTS).rename(m / "pytorch_model.bin"),
        "has no .safetensors file. It has pytorch_model.bin only",
    ),
    "weights under another name": (
        lambda m: (m / WEIGHTS).rename(m / "tiny.safetensors"),
        "has no .safetensors file. Rename tiny.safetensors to model.safetensors",
    ),
    "a part is missing": (lambda m: _sharded(m, parts=1), "has no model-00002-of-00002"),
    "a part lacks a tensor": (
        lambda m: _sharded(m, tensors=(EMBEDDING, "c")),
        "the weights lack b.",
    ),
    "an index without a map": (
        lambda m: (_gone(WEIGHTS)(m), _text(INDEX, "{}")(m)),
        "has no weight_map",
    ),
    "a part outside of the folder": (
        lambda m: (_gone(WEIGHTS)(m), _text(INDEX, '{"weight_map": {"a": "../x"}}')(m)),
        "has no ../x",
    ),
    "no preprocessor": (
        _gone("preprocessor_config.json"),
        "has no preprocessor_config.json or processor_config.json. Copy it from the model",
    ),
    "no tokenizer": (_gone("tokenizer.json"), "has no tokenizer.json or vocab.json"),
    "a damaged preprocessor": (_text("preprocessor_config.json", "{"), "cannot be read as JSON"),
    "a nested tokenizer": (_text("tokenizer.json", "[" * 200_000), "is nested too deeply"),
    "a nested config": (_text("config.json", "[" * 200_000), "cannot be read as JSON"),
    "a width that is no number": (_config(d_model=float("nan")), "config.json has NaN"),
    "an infinite dropout": (_config(dropout=float("inf")), "config.json has Infinity"),
    "no layers": (_config(encoder_layers=0), "encoder_layers is 0, not a whole number above 0"),
    "negative layers": (_config(decoder_layers=-4), "decoder_layers is -4"),
    "a width as text": (_config(d_model="384"), 'd_model is "384"'),
    "half a head": (_config(d_model=384.5), "d_model is 384.5"),
    "a width of odd heads": (
        _config(encoder_attention_heads=3),
        "d_model 4 is not a multiple of encoder_attention_heads 3",
    ),
    "another model's config": (
        _config(vocab_size=51865),
        "vocab_size x d_model is 51865 x 4, and they have 3 x 4. Take both from the same model",
    ),
    "a pipe as config": (_fifo("config.json"), "config.json is not a file that can be read"),
    "a pipe as weights": (_fifo(WEIGHTS), "model.safetensors is not a file"),
    "another pipe": (_fifo("notes"), "notes is not a file that can be read. Remove it."),
    "a pipe in a folder": (_fifo("logs/pipe"), "logs/pipe is not a file that can be read. Rem"),
    "a loop": (lambda m: (m / "loop").symlink_to("."), "loop is a link to a folder that it is in"),
    "a loop above": (lambda m: (m / "up").symlink_to(".."), "up is a link to a folder that it is"),
    "a broken link": (_link(WEIGHTS), "model.safetensors cannot be read: no such file"),
}


@pytest.mark.parametrize(("spoil", "problem"), CASES.values(), ids=CASES)
@pytest.mark.timeout(30)
def test_a_model_that_cannot_be_loaded_is_refused(folder: Path, spoil: Spoil, problem: str) -> None:
    spoil(folder)
    with pytest.raises(SpecError) as caught:
        model_folder.check(folder)
    line = str(caught.value)
    assert line.startswith(f"model: {folder}")
    assert problem.split(".*")[0] in line
    assert problem.split(".*")[-1] in line
    assert "\n" not in line


def test_models_that_can_be_loaded_pass(folder: Path) -> None:
    model_folder.check(folder)
    model_folder.check(EXAMPLES / "whisper-micro")
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    (folder / "preprocessor_config.json").rename(folder / "processor_config.json")
    (folder / "notes").mkdir()
    model_folder.check(folder)
    _sharded(folder)
    model_folder.check(folder)


def test_the_snapshot_of_a_hubs_cache_is_links_and_passes(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for path in folder.iterdir():
        (snapshot / path.name).symlink_to(path)
    model_folder.check(snapshot)


def test_a_whisper_cut_at_any_part_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(EXAMPLES / "whisper-micro", folder)
    size = (folder / WEIGHTS).stat().st_size
    for left in (size - 1, size // 2, 10_000, 9, 8, 1):
        os.truncate(folder / WEIGHTS, left)
        with pytest.raises(SpecError, match=r"model\.safetensors is "):
            model_folder.check(folder)
