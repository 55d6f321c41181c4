"""Bootstrap intervals of error rates, and of the difference between two models.

Intervals are percentile bootstrap intervals over utterances (Bisani and Ney 2004, "Bootstrap
estimates for confidence intervals in ASR performance evaluation", ICASSP). Utterances of one
speaker are not independent, so speakers are resampled whole where there are enough of them (Liu
et al. 2020, "Statistical testing on ASR performance via blockwise bootstrap", Interspeech).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 1000
CONFIDENCE = 0.95
# With fewer clusters a cluster bootstrap gives intervals that are too narrow (Cameron, Gelbach
# and Miller 2008), down to none at all with one speaker.
FEWEST_SPEAKERS = 10
# Random numbers drawn at a time: 16 MB, whatever the size of the test set.
_DRAWS = 2_000_000

Counts = Sequence[tuple[int, int]]
"""Errors and length of each utterance."""


def clusters(
    speakers: list[str], utterances: int
) -> tuple[Literal["utterances", "speakers"], list[int]]:
    """The unit of resampling, and the cluster of each utterance, numbered by first appearance."""
    numbers: dict[str, int] = {}
    groups = [
        numbers.setdefault(name or f"\0{position}", len(numbers))
        for position, name in enumerate(speakers)
    ]
    if len(numbers) < FEWEST_SPEAKERS or len(numbers) == utterances:
        return "utterances", list(range(utterances))
    return "speakers", groups


def by_cluster(rates: Sequence[Counts], groups: Sequence[int]) -> NDArray[np.float64]:
    """Sums of errors and lengths: (clusters, 2 × rates), errors first.

    The rows are sorted, so the order of the utterances makes no difference.
    """
    import numpy as np

    counts = np.asarray(rates, dtype=np.float64)  # (rates, utterances, 2)
    columns = np.concatenate([counts[:, :, 0], counts[:, :, 1]])  # (2 × rates, utterances)
    summed: NDArray[np.float64] = np.stack([np.bincount(groups, c) for c in columns], axis=1)
    return summed[np.lexsort(summed.T)]


def resampled_rates(rows: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """The rates of each bootstrap resample: (RESAMPLES, rates)."""
    import numpy as np

    random = np.random.default_rng(seed)
    number_of_rows = len(rows)
    at_once = max(1, _DRAWS // number_of_rows)
    parts = []
    for start in range(0, RESAMPLES, at_once):
        number = min(at_once, RESAMPLES - start)
        drawn = random.integers(number_of_rows, size=(number, number_of_rows))
        drawn += number_of_rows * np.arange(number)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=number * number_of_rows)
        parts.append(weights.reshape(number, number_of_rows).astype(np.float64) @ rows)
    errors, lengths = np.split(np.concatenate(parts), 2, axis=1)
    return errors / lengths


def interval(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower and upper ends of the interval of each column: (2, columns)."""
    import numpy as np

    tail = (1 - CONFIDENCE) / 2
    ends: NDArray[np.float64] = np.quantile(samples, [tail, 1 - tail], axis=0)
    return ends
