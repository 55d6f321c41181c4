"""Places of clips in their window, and the tokens for their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jobrunner.core.models.base import Samples
from jobrunner.errors import UsageError

# Silence between two clips of a window. Recordings have some of their own at both ends.
SILENCE_SECONDS = 0.1
# Seconds from one timestamp token to the next (Radford et al. 2022, section 2.3).
_GRID = 0.02
# A clip has one where it begins and one where it ends.
STAMPS_A_CLIP = 2


def joined(sounds: Sequence[Samples], rate: int) -> Samples:
    """The clips (n,) of a window one after the other, with silence between them.

    Args:
        sounds: samples (n,) of each clip.
        rate: samples a second.
    """
    silence = np.zeros(round(SILENCE_SECONDS * rate), dtype=np.float32)
    return np.concatenate([part for sound in sounds for part in (silence, sound)][1:])


def placed(lengths: Sequence[int], rate: int) -> list[tuple[float, float]]:
    """Seconds at which each clip of a window begins and ends.

    Args:
        lengths: samples of each clip.
        rate: samples a second.
    """
    silence = round(SILENCE_SECONDS * rate)
    ends = np.cumsum(np.array(lengths) + silence) - silence
    return [
        (start / rate, end / rate)
        for start, end in zip((ends - lengths).tolist(), ends.tolist(), strict=True)
    ]


class Stamps:
    """Timestamp tokens of a tokenizer.

    Args:
        known: ids of the tokenizer's added tokens.
        seconds: length of a window.
    """

    def __init__(self, known: Mapping[str, int], seconds: float) -> None:
        self._known = known
        self._last = round(seconds / _GRID)

    def check(self) -> None:
        """Raises UsageError unless there is a token for every time in a window."""
        if any(_name(place) not in self._known for place in range(self._last + 1)):
            raise UsageError(
                "The model's tokenizer has no timestamp tokens, which train.timestamps needs.",
                hint="Leave out train.timestamps, or choose a model that writes timestamps.",
            )

    def at(self, seconds: float) -> int:
        """Id of the token that is nearest to a time in the window."""
        return self._known[_name(min(self._last, round(seconds / _GRID)))]


def _name(place: int) -> str:
    return f"<|{place * _GRID:.2f}|>"
