"""Decoding speed against the `transformers` pipeline, on the same clips in one run.

    python benchmarks/decoding.py                # about 10 minutes on 2 cores
    python benchmarks/decoding.py --loops 3      # with clips whose text never ends
    python benchmarks/decoding.py --beams        # the pipeline's own default as well, 5 beams

The model has whisper-tiny's shape and vocabulary. Its weights are solved for, not trained: random
ones write the same token for ever. Each clip is a chord; the encoder is random, cross-attention
tells the chords apart, and the feed-forward layers hold a Greek sentence for each. So texts depend
on the audio, end where they should, and are the same for every engine that computes right. Lengths
are those of Common Voice; a second of speech has 8 tokens, as Greek has in Whisper's vocabulary.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numpy as np
import numpy.typing as npt
import torch
import transformers
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from jobrunner import spec as specs
from jobrunner.core.data.dataset import Dataset, Utterance
from jobrunner.core.models import whisper
from jobrunner.core.transcribe import transcribe
from jobrunner.storage.local import LocalStorage

ROOT = Path(__file__).resolve().parents[1]
MICRO = ROOT / "examples" / "whisper-micro"
RATE = 16_000
TOKENS_A_SECOND = 8
TINY = {
    "vocab_size": 51_865,
    "d_model": 384,
    **{"encoder_layers": 4, "decoder_layers": 4, "num_hidden_layers": 4},
    **{"encoder_attention_heads": 6, "decoder_attention_heads": 6},
    **{"encoder_ffn_dim": 1536, "decoder_ffn_dim": 1536},
    **{"max_source_positions": 1500, "max_target_positions": 448, "dropout": 0.0},
}


class Chords(Dataset):
    """Clips of Common Voice's lengths (gamma, mean 5.3 s, 1 to 15 s), each a chord of its own."""

    def __init__(self, clips: int, seed: int = 0) -> None:
        super().__init__(LocalStorage(Path("nowhere")), "data/x/", Path("nowhere"), {}, "el")
        random = np.random.default_rng(seed)
        seconds = np.clip(random.gamma(5.3**2 / 2.2**2, 2.2**2 / 5.3, clips), 1, 15)
        self.sounds = [self._chord(random, round(each * RATE)) for each in seconds]
        self.clips = [
            Utterance(
                index=index,
                shard="test/0.flacs",
                offset=0,
                size=0,
                seconds=len(sound) / RATE,
                text="",
                speaker="",
                clip=str(index),
                language="el",
            )
            for index, sound in enumerate(self.sounds)
        ]

    @staticmethod
    def _chord(random: np.random.Generator, samples: int) -> npt.NDArray[np.float32]:
        times = np.arange(samples) / RATE
        waves = [np.sin(2 * np.pi * tone * times) for tone in random.uniform(100, 6000, 6)]
        noise = random.standard_normal(samples) * 0.01
        return np.asarray(np.sum(waves, axis=0) * 0.1 + noise, dtype=np.float32)

    def audio(self, utterance: Utterance) -> npt.NDArray[np.float32]:
        return self.sounds[utterance.index]


def sentences(tokenizer: Any, chords: Chords, loops: int) -> list[list[int]]:
    """Token ids for each clip, the end included; the last `loops` of them repeat themselves."""
    with (ROOT / "examples" / "speech" / "el" / "metadata.csv").open() as file:
        columns = list(csv.DictReader(file))
    texts = [row.get("sentence") or row.get("transcription") or row["text"] for row in columns]
    wanted = []
    for clip in chords.clips:
        text = " ".join(texts[(clip.index * 3 + part) % len(texts)] for part in range(3))
        ids = tokenizer(text, add_special_tokens=False).input_ids
        wanted.append([*ids[: round(clip.seconds * TOKENS_A_SECOND)], tokenizer.eos_token_id])
    for place in range(len(wanted) - loops, len(wanted)):
        wanted[place] = (wanted[place][:12] * 40)[:440]
    return wanted


@torch.no_grad()
def make_model(folder: Path, chords: Chords, loops: int) -> None:
    """Writes a model of whisper-tiny's shape that answers each chord with its sentence."""
    torch.manual_seed(0)
    base = WhisperForConditionalGeneration.from_pretrained(MICRO)
    config = WhisperConfig(**{**base.config.to_dict(), **TINY})
    model = WhisperForConditionalGeneration(config).eval()
    model.generation_config = base.generation_config
    model.generation_config.max_length = 448
    model.generation_config.suppress_tokens = None
    model.generation_config.begin_suppress_tokens = None
    tokenizer = transformers.WhisperTokenizer.from_pretrained(MICRO)
    extractor = WhisperFeatureExtractor(feature_size=80, chunk_length=30)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    extractor.save_pretrained(folder)
    recipe = load(folder, torch.float32).recipe
    model.model.encoder.conv1.weight.mul_(10)
    states = torch.cat(
        [model.model.encoder(recipe.listen([s]).features)[0].mean(1) for s in chords.sounds]
    )
    prompt = [config.decoder_start_token_id, *recipe.head("el", "transcribe")]
    Solved(model, states, prompt, sentences(tokenizer, chords, loops)).write()
    model.save_pretrained(folder)


class Solved:
    """A decoder whose weights are solved for, so that it writes given tokens for given states.

    Args:
        model: of random weights; they are changed in place.
        states: mean of the encoder's states for each clip, (clips, width).
        prompt: ids that the decoder begins with.
        wanted: ids that it must write for each clip.
    """

    def __init__(
        self, model: Any, states: torch.Tensor, prompt: list[int], wanted: list[list[int]]
    ) -> None:
        self._model, self._states, self._wanted = model, states, wanted
        self._first = len(prompt) - 1

    def write(self) -> None:
        """Changes the weights."""
        decoder, width = self._model.model.decoder, self._states.shape[1]
        decoder.embed_tokens.weight.normal_(0, 0.05)
        decoder.embed_positions.weight.normal_(0, 1)
        for layer in decoder.layers:
            for attention in (layer.self_attn, layer.encoder_attn):
                attention.out_proj.weight.zero_()
                attention.out_proj.bias.zero_()
            # Without a query, attention is the mean of what was heard.
            layer.encoder_attn.q_proj.weight.zero_()
            layer.encoder_attn.q_proj.bias.zero_()
            layer.fc1.weight.normal_(0, width**-0.5)
        heard = decoder.layers[0].encoder_attn
        means = heard.v_proj(self._states)
        codes = torch.randn(len(means), width)
        centre = means.mean(0)
        heard.out_proj.weight.copy_(_solve(means - centre, codes, 1e-6).T)
        heard.out_proj.bias.copy_(-heard.out_proj.weight @ centre)
        clips = [clip for clip, ids in enumerate(self._wanted) for _ in ids]
        places = [self._first + place for ids in self._wanted for place in range(len(ids))]
        hidden = heard.out_proj(means)[clips] + decoder.embed_positions.weight[places]
        targets = decoder.embed_tokens.weight[[id_ for ids in self._wanted for id_ in ids]]
        targets = 40 * torch.nn.functional.normalize(targets)
        for layer in decoder.layers:
            inner = layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden)))
            layer.fc2.weight.copy_(_solve(inner, targets - hidden, 1e-2).T)
            layer.fc2.bias.zero_()
            hidden = hidden + layer.fc2(inner)


def _solve(inputs: torch.Tensor, outputs: torch.Tensor, ridge: float) -> torch.Tensor:
    """Least squares with a penalty: W of inputs @ W ≈ outputs."""
    inputs, outputs = inputs.double(), outputs.double()
    square = inputs.T @ inputs
    square += ridge * square.diagonal().mean() * torch.eye(len(square), dtype=torch.float64)
    return torch.linalg.solve(square, inputs.T @ outputs).float()


def load(folder: Path, dtype: torch.dtype) -> whisper.Whisper:
    """The model as an evaluation loads it."""
    spec = specs.parse(
        {
            "lang": "el",
            "model": str(folder),
            "task": "evaluate",
            "data": {"source": f"folder:{folder}"},
            "resources": {"device": "cpu"},
        }
    )
    return whisper.load(folder, spec, "cpu", dtype)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One way to decode all clips."""

    name: str
    decode: Callable[[], list[str]]


def ours(folder: Path, chords: Chords, *, batch_size: int, dtype: torch.dtype) -> Engine:
    """What an evaluation does."""
    model = load(folder, dtype)
    kind = "bf16" if dtype == torch.bfloat16 else "fp32"
    return Engine(
        name=f"ours, {kind}, batches of {batch_size}",
        decode=lambda: [
            each.text for each in transcribe(model, chords, chords.clips, batch_size=batch_size)
        ],
    )


def pipeline(folder: Path, chords: Chords, *, beams: int) -> Engine:
    """The rival; batches of 16."""
    recognise = transformers.pipeline(
        "automatic-speech-recognition", model=str(folder), batch_size=16, device="cpu"
    )
    options = {"language": "el", "task": "transcribe", "num_beams": beams, "max_new_tokens": 444}

    def decode() -> list[str]:
        sounds = ({"raw": sound, "sampling_rate": RATE} for sound in chords.sounds)
        return [found["text"].strip() for found in recognise(sounds, generate_kwargs=options)]

    return Engine(name=f"pipeline, fp32, {beams} beam{'s' * (beams > 1)}", decode=decode)


def ctranslate2(folder: Path, chords: Chords, *, kind: str) -> Engine:
    """CTranslate2 with our features, batches of 16 by length."""
    library = importlib.import_module("ctranslate2")
    converted = folder.parent / f"ct2-{kind}"
    convert = library.converters.TransformersConverter(str(folder))
    convert.convert(str(converted), quantization=kind, force=True)
    engine = library.models.Whisper(
        str(converted), device="cpu", compute_type=kind, intra_threads=os.cpu_count()
    )
    model = load(folder, torch.float32)
    prompt = [model.module.config.decoder_start_token_id, *model.recipe.head("el", "transcribe")]

    def decode() -> list[str]:
        texts: dict[int, str] = {}
        clips = sorted(chords.clips, key=lambda clip: -clip.seconds)
        for start in range(0, len(clips), 16):
            batch = clips[start : start + 16]
            heard = model.recipe.listen([chords.audio(clip) for clip in batch])
            view = library.StorageView.from_array(heard.features.numpy())
            found = engine.generate(
                *(view, [prompt] * len(batch)),
                **{"beam_size": 1, "max_length": 448, "suppress_tokens": []},
                suppress_blank=False,
            )
            for clip, each in zip(batch, found, strict=True):
                ids = each.sequences_ids[0]
                texts[clip.index] = model.tokenizer.decode(ids, skip_special_tokens=True).strip()
        return [texts[clip.index] for clip in chords.clips]

    return Engine(name=f"CTranslate2, {kind}, batches of 16", decode=decode)


def compare(engines: Sequence[Engine], seconds: float, rounds: int) -> None:
    """Prints a row for each engine, held against the first.

    On a busy machine CPU time is the fairer measure: others slow a wall clock down, not this one.
    """
    texts: dict[str, list[str]] = {}
    took: dict[str, list[tuple[float, float]]] = {engine.name: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            start, computed = time.perf_counter(), time.process_time()
            texts[engine.name] = engine.decode()
            taken = time.perf_counter() - start, time.process_time() - computed
            took[engine.name].append(taken)
    fastest = {name: np.min(times, axis=0) for name, times in took.items()}
    rival = engines[0].name
    print("| engine | audio s/s | to the pipeline | by CPU time | texts as the pipeline's |")
    print("|-|-:|-:|-:|-:|")
    for name, own in texts.items():
        same = sum(a == b for a, b in zip(own, texts[rival], strict=True))
        wall, computed = fastest[rival] / fastest[name]
        speed = seconds / fastest[name][0]
        print(f"| {name} | {speed:.1f} | {wall:.2f} | {computed:.2f} | {same} of {len(own)} |")
    lengths = sorted(len(text) for text in texts[rival])
    print(f"\n{len(set(texts[rival]))} different texts; characters: {lengths}")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--loops", type=int, default=0, help="clips whose text never ends")
    parser.add_argument("--rounds", type=int, default=2, help="the fastest of each counts")
    parser.add_argument("--sizes", default="16,32", help="sizes of our batches")
    parser.add_argument("--beams", action="store_true", help="5 beams, the pipeline's default")
    parser.add_argument(
        "--ctranslate2", default="", help="its kinds: float32,int8_float32,bfloat16"
    )
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    chords = Chords(options.clips)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "model"
        make_model(folder, chords, options.loops)
        engines = [pipeline(folder, chords, beams=1)]
        engines += [pipeline(folder, chords, beams=5)] if options.beams else []
        for size in map(int, options.sizes.split(",")):
            engines.append(ours(folder, chords, batch_size=size, dtype=torch.float32))
        engines.append(ours(folder, chords, batch_size=16, dtype=torch.bfloat16))
        kinds = [kind for kind in options.ctranslate2.split(",") if kind]
        engines += [ctranslate2(folder, chords, kind=kind) for kind in kinds]
        compare(engines, sum(clip.seconds for clip in chords.clips), options.rounds)


if __name__ == "__main__":
    main()
