"""Results made by real scoring of invented texts."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from jobrunner.catalog import languages
from jobrunner.scoring.rates import paired_difference, score
from jobrunner.scoring.result import Result, Settings, Which

RUN = "el-whisper-tiny-1f6e09ab"
Measure = Callable[..., list[Result]]


def _results(
    language: str, base: float, tuned: float, *, run: str = RUN, test_set: str = "fleurs"
) -> list[Result]:
    """A base and a tuned result whose share of wrong words is about as given."""
    draw = random.Random(f"{language}{run}")
    references = [" ".join(draw.choices("abcdefgh", k=10)) for _ in range(80)]
    unit = languages.find(language).unit
    results: list[Result] = []
    share: tuple[Which, float]
    for share in (("base", base), ("tuned", tuned)):
        which, error = share
        hypotheses = [
            " ".join("x" if draw.random() < error else word for word in text.split())
            for text in references
        ]
        scores = score(references, hypotheses, unit=unit)
        change = paired_difference(results[0].scores, scores) if results else None
        results.append(
            Result(
                run=run,
                which=which,
                model="whisper-tiny",
                trained_on="el",
                language=language,
                test_set=test_set,
                split="test",
                model_digest="ab" * 32,
                data_digest="cd" * 32,
                settings=Settings(
                    language=language, max_utterances=0, precision="fp32", batch_size=16
                ),
                scores=scores,
                change=change,
                audio_seconds=742.0,
                decode_seconds=53.0,
                device="cpu",
                finished=1_790_000_000.0,
                software={"jobrunner": "0.1.0"},
            )
        )
    return results


@pytest.fixture
def measure() -> Measure:
    """Makes the results of one language: `measure("el", base=0.9, tuned=0.1)`."""
    return _results
