"""How much speech a folder has, before a clip is decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobrunner.corpora import heads
from jobrunner.corpora.folder import durations
from tests.harness.paths import EXAMPLES
from tests.harness.speech import encoded, sound

FORMS = [("WAV", {}), ("WAV", {"subtype": "FLOAT"}), ("FLAC", {}), ("MP3", {})]


@pytest.mark.parametrize(("form", "more"), FORMS)
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_file_says_how_long_it_is(form: str, more: dict[str, str], rate: int) -> None:
    data = encoded(sound(1, 3.0, rate), rate, form, **more)
    found = heads.seconds(data[: heads.SIZE], len(data))
    assert found == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize(
    "head", [b"", b"OggS" + bytes(40), b"RIFF", b"RIFF....WAVEfmt ", b"fLaC", b"\xff\xfb", b"text"]
)
def test_a_file_that_does_not_say_it_counts_as_unknown(head: bytes) -> None:
    assert heads.seconds(head, 1000) == 0.0


def test_the_estimate_for_the_example_corpus_is_right() -> None:
    files = [
        (path, path.stat().st_size) for path in sorted((EXAMPLES / "speech/el").rglob("*.mp3"))
    ]
    whole = sum(soundfile.info(path).duration for path, _ in files)
    assert durations.total(files) == pytest.approx(whole, rel=0.1)


def test_a_folder_of_which_too_little_is_known_has_no_estimate(tmp_path: Path) -> None:
    wav, other = tmp_path / "a.wav", tmp_path / "b.ogg"
    soundfile.write(wav, np.zeros(16_000), 16_000)
    other.write_bytes(b"OggS" + bytes(1000))
    known, unknown = (wav, wav.stat().st_size), (other, 1004)
    assert durations.total([]) == 0.0
    assert durations.total([unknown, unknown, known]) == 0.0
    assert durations.total([known, known]) == pytest.approx(2.0, rel=0.01)
    assert durations.total([(tmp_path / "gone.wav", 5)]) == 0.0
