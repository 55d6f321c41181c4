"""The oracle and the rival: the same fine-tuning on Hugging Face's `Seq2SeqTrainer`.

It follows the script that most people start from (transformers, examples/pytorch/
speech-recognition/run_speech_recognition_seq2seq.py) with its usual tuning: features in workers,
batches as tensors, no accumulation (with it Trainer 5.23 scales Whisper's loss wrongly). Optimiser
and schedule are ours, so that the losses of both can be compared step by step.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import (
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from jobrunner.core.data.dataset import Dataset, Utterance
from jobrunner.core.models.base import groups_by_decay
from jobrunner.core.training.optimiser import learning_rate, make_optimiser
from jobrunner.spec import RunSpec


@dataclass
class Clock(TrainerCallback):  # type: ignore[misc]
    """When each step ended, in time and in processor time, and what its loss was."""

    ends: list[tuple[float, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.ends.append((time.perf_counter(), time.process_time()))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))


class Clips(torch.utils.data.Dataset[dict[str, Any]]):
    """Features and labels of single clips, as `prepare_dataset` makes them in the script."""

    def __init__(self, dataset: Dataset, clips: Sequence[Utterance], folder: Path, lang: str):
        self._dataset, self._clips = dataset, clips
        self._extractor = WhisperFeatureExtractor.from_pretrained(folder)
        self.tokenizer = WhisperTokenizer.from_pretrained(folder)
        self.tokenizer.set_prefix_tokens(language=lang, task="transcribe")

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, place: int) -> dict[str, Any]:
        clip = self._clips[place]
        audio = self._dataset.audio(clip)
        features = self._extractor(audio, sampling_rate=16000, return_tensors="pt")
        return {
            "input_features": features.input_features[0],
            "labels": self.tokenizer(clip.text).input_ids,
        }


class Collator:
    """`DataCollatorSpeechSeq2SeqWithPadding` of the script."""

    def __init__(self, tokenizer: Any, start: int) -> None:
        self._tokenizer, self._start = tokenizer, start

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        padded = self._tokenizer.pad(
            {"input_ids": [row["labels"] for row in rows]}, return_tensors="pt"
        )
        labels = padded["input_ids"].masked_fill(padded.attention_mask.ne(1), -100)
        if (labels[:, 0] == self._start).all():
            labels = labels[:, 1:]
        return {
            "input_features": torch.stack([row["input_features"] for row in rows]),
            "labels": labels,
        }


class _InOrderTrainer(Seq2SeqTrainer):  # type: ignore[misc]
    """Takes the batches that it is given, in their order."""

    batches: list[list[int]]

    def get_train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(
            self.train_dataset,
            batch_sampler=self.batches,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
        )


def train(
    folder: Path,
    spec: RunSpec,
    dataset: Dataset,
    batches: list[list[int]],
    workers: int,
    *,
    bf16: bool = False,
) -> Clock:
    """Trains for as many steps as there are batches of clips (by their place in the split)."""
    model = WhisperForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, dropout=spec.train.dropout, apply_spec_augment=False
    )
    clips = Clips(dataset, dataset.utterances("train"), folder, spec.lang)
    optimiser = make_optimiser(groups_by_decay(model), spec.train)
    peak = spec.train.learning_rate
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda done: learning_rate(spec.train, min(done + 1, spec.train.steps)) / peak
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as output:
        arguments = Seq2SeqTrainingArguments(
            output_dir=output,
            max_steps=len(batches),
            max_grad_norm=spec.train.max_grad_norm,
            dataloader_num_workers=workers,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=not torch.cuda.is_available(),
            bf16=bf16,
            remove_unused_columns=False,
            disable_tqdm=True,
        )
        trainer = _InOrderTrainer(
            model=model,
            args=arguments,
            train_dataset=clips,
            data_collator=Collator(clips.tokenizer, model.config.decoder_start_token_id),
            optimizers=(optimiser, schedule),
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.batches = batches
        trainer.train()
    return clock
