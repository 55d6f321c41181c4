"""Results made by real scoring of invented texts."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from typing import Any

import pyarrow
import pyarrow.parquet

from jobrunner.catalog import languages
from jobrunner.scoring.rates import Scores, paired_difference, score
from jobrunner.scoring.result import Result, Settings, Which
from jobrunner.spec import keys
from jobrunner.storage import Storage

RUN = "el-whisper-tiny-1f6e09ab"


def result(which: Which, scores: Scores, *, base: Scores | None = None, **changes: Any) -> Result:
    """The result of a model of the run.

    Args:
        which: model.
        scores: its own.
        base: those of the base model, which the change is measured from.
        changes: other fields.
    """
    values: dict[str, Any] = {
        "run": RUN,
        "model": "whisper-tiny",
        "trained_on": "el",
        "language": "el",
        "test_set": "fleurs",
        "split": "test",
        "model_digest": "ab" * 32,
        "data_digest": "cd" * 32,
        "audio_seconds": 742.0,
        "decode_seconds": 53.0,
        "device": "cpu",
        "finished": 1_790_000_000.0,
        "software": {"jobrunner": "0.1.0"},
        **changes,
    }
    settings = Settings(
        language=values["language"], max_utterances=0, precision="fp32", batch_size=16
    )
    change = paired_difference(base, scores) if base else None
    return Result(which=which, scores=scores, change=change, settings=settings, **values)


def pair(
    references: Sequence[str], base: Sequence[str], tuned: Sequence[str], **changes: Any
) -> list[Result]:
    """The results of a base and a tuned model that wrote these texts."""
    unit = languages.find(changes.get("language", "el")).unit
    first, second = (score(references, texts, unit=unit) for texts in (base, tuned))
    return [result("base", first, **changes), result("tuned", second, base=first, **changes)]


def measure(language: str, base: float, tuned: float, *, run: str = RUN) -> list[Result]:
    """A base and a tuned result whose share of wrong words is about as given."""
    draw = random.Random(f"{language}{run}")
    references = [" ".join(draw.choices("abcdefgh", k=10)) for _ in range(80)]
    written = [
        [
            " ".join("x" if draw.random() < error else word for word in text.split())
            for text in references
        ]
        for error in (base, tuned)
    ]
    return pair(references, *written, language=language, run=run)


def store(
    storage: Storage, found: Result, references: Sequence[str], hypotheses: Sequence[str]
) -> None:
    """Stores a result and its texts, as the evaluate stage does."""
    place = (found.run, found.which, found.test_set, found.language)
    clips = [f"clip-{number:03}" for number in range(len(references))]
    file = io.BytesIO()
    columns = {"clip": clips, "reference": list(references), "hypothesis": list(hypotheses)}
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    storage.write(keys.predictions_file(*place), file.getvalue())
    storage.write(keys.result_file(*place), found.model_dump_json().encode())
