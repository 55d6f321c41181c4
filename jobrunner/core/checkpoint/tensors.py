"""Writes tensors to safetensors files, streamed and hashed in one pass.

`safetensors.torch.save_file` holds the interpreter's lock while it writes, which would stop
training; here each write and each hash releases the lock. The format is the library's own
(https://github.com/huggingface/safetensors#format), and the library reads the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch

from jobrunner.errors import disk_errors

_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
# Bytes hashed and written at a time.
_CHUNK = 4 << 20


class Snapshot:
    """Copies of tensors in host memory, which is reused for the next checkpoint."""

    def __init__(self) -> None:
        self._held: dict[str, torch.Tensor] = {}

    def take(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Copies all tensors as they are now; overwrites the copies of the last call."""
        for name, tensor in tensors.items():
            held = self._held.get(name)
            if held is None or held.shape != tensor.shape or held.dtype != tensor.dtype:
                # Pinned memory, so that copies from a GPU run at the bus's full speed.
                held = torch.empty(
                    tensor.shape, dtype=tensor.dtype, pin_memory=tensor.device.type == "cuda"
                )
                self._held[name] = held
            held.copy_(tensor.detach(), non_blocking=True)
        if any(tensor.is_cuda for tensor in tensors.values()):
            torch.cuda.synchronize()
        return {name: self._held[name] for name in tensors}


def write(path: Path, tensors: Mapping[str, torch.Tensor]) -> tuple[int, str]:
    """Writes host tensors to a file; returns its size in bytes and its SHA-256 (hex).

    Raises:
        StorageFull: the disk is full.
    """
    header: dict[str, object] = {}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pieces = [memoryview(len(text).to_bytes(8, "little") + text)]
    pieces += [_bytes(tensor) for tensor in tensors.values()]
    return write_pieces(path, pieces)


def write_pieces(path: Path, pieces: list[memoryview]) -> tuple[int, str]:
    """Writes bytes to a file; returns its size and its SHA-256 (hex).

    Raises:
        StorageFull: the disk is full.
        StorageError: it cannot be written for another reason.
    """
    seen = hashlib.sha256()
    where = f"on this machine's disk to write {path.name}"
    with disk_errors(where, name=path.name), path.open("wb", buffering=0) as file:
        for piece in pieces:
            for start in range(0, len(piece), _CHUNK):
                chunk = piece[start : start + _CHUNK]
                seen.update(chunk)
                while chunk:
                    chunk = chunk[file.write(chunk) :]
    return sum(map(len, pieces)), seen.hexdigest()


def _bytes(tensor: torch.Tensor) -> memoryview:
    flat = tensor.contiguous().reshape(-1).view(torch.uint8)
    return memoryview(flat.numpy().data)
