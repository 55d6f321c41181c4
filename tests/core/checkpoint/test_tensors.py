"""Tensors in files of their own, as the library reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.core.checkpoint import tensors

shapes = st.lists(st.integers(0, 4), max_size=3)
kinds = st.sampled_from(list(tensors._TYPES))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tensors")


@given(held=st.dictionaries(st.text(min_size=1, max_size=8), st.tuples(shapes, kinds), max_size=5))
def test_the_library_reads_back_what_was_streamed(
    folder: Path, held: dict[str, tuple[list[int], torch.dtype]]
) -> None:
    held.pop("__metadata__", None)
    written = {name: torch.randint(0, 2, shape).to(dtype) for name, (shape, dtype) in held.items()}
    size, digest = tensors.write(folder / "file", written)
    assert (folder / "file").stat().st_size == size
    assert len(digest) == 64
    found = safetensors.torch.load_file(folder / "file")
    assert found.keys() == written.keys()
    for name, tensor in written.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
