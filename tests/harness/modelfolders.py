"""Folders that look like a Whisper to everybody who reads headers only."""

from __future__ import annotations

import json
import struct
from pathlib import Path

CONFIG = {"model_type": "whisper", "d_model": 4, "vocab_size": 3, "decoder_attention_heads": 2}
EMBEDDING = "model.decoder.embed_tokens.weight"


def write_model_folder(folder: Path) -> Path:
    """Makes a folder with a config, weights of one tensor, a tokenizer that knows Greek."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "preprocessor_config.json").write_text("{}")
    write_tensors(folder / "model.safetensors", EMBEDDING)
    (folder / "generation_config.json").write_text('{"is_multilingual": true}')
    (folder / "tokenizer.json").write_text('{"added_tokens": [{"content": "<|el|>"}]}')
    return folder


def write_tensors(path: Path, *names: str, data: bytes = b"\0" * 24) -> None:
    """Writes tensors of 3 x 4 numbers in 16 bits as safetensors."""
    header = json.dumps(
        {
            name: {
                "dtype": "F16",
                "shape": [3, 4],
                "data_offsets": [24 * number, 24 * number + 24],
            }
            for number, name in enumerate(names)
        }
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data * len(names))
