"""Every row of a table is a clip of one split, or is left out for a reason that is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobrunner.corpora import folder as audiofolder
from jobrunner.corpora.counts import Counts
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec
from tests.harness.audiofolders import write_folder

HEADER = ("file_name", "sentence", "split", "locale")
DATA = DataSpec.model_validate({"source": "folder:speech"})
# Enough of each split, so that faults of some rows are warnings.
SOUND = [
    (f"{split}/{n}.mp3", f"Πρόταση {n} {split[:2]}", split, "el")
    for split in ("train", "test")
    for n in range(60)
]
EXTRA = st.lists(
    st.tuples(
        st.sampled_from(["fine", "empty", "missing", "again"]),
        st.sampled_from(["train", "validation", "test", "other"]),
        st.sampled_from(["el", "el", "en", ""]),
    ),
    max_size=5,
)


def _counts(root: Path, rows: list[tuple[str, str, str, str]]) -> Counts:
    return audiofolder.check(write_folder(root, rows, header=HEADER), "el", DATA).counts


@given(EXTRA)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_kept_and_left_out_adds_up_to_the_rows(
    tmp_path: Path, extra: list[tuple[str, str, str]]
) -> None:
    shutil.rmtree(tmp_path / "speech", ignore_errors=True)
    rows = list(SOUND)
    for at, (what, split, locale) in enumerate(extra):
        name = "train/0.mp3" if what == "again" else f"x/{at}.mp3"
        split = "train" if what == "again" else split
        rows.append((name, "" if what == "empty" else f"Κάτι {at}", split, locale))
    root = write_folder(tmp_path / "speech", rows, header=HEADER)
    for at, (what, _, _) in enumerate(extra):
        if what == "missing":
            (root / f"x/{at}.mp3").unlink()
    try:
        counts = audiofolder.check(root, "el", DATA).counts
    except SpecError as error:  # a validation of faulty clips alone
        assert "validation" in str(error) or "of test" in str(error)  # noqa: PT017
        return
    assert counts.rows == len(rows)
    assert sum(counts.kept.values()) + sum(counts.left_out.values()) == counts.rows
    assert all(counts.left_out.values())
    assert set(counts.kept) == {"train", "validation", "test"}


def test_the_reasons_are_named(tmp_path: Path) -> None:
    rows = [
        *SOUND,
        ("a.mp3", "Ναι", "other", "el"),
        ("b.mp3", "Yes", "train", "en"),
        ("c.mp3", "", "test", "el"),
        ("train/0.mp3", "Πρόταση", "train", "el"),
    ]
    counts = _counts(tmp_path, rows)
    assert counts.rows == 124
    assert counts.held_out
    assert counts.kept == {"train": 57, "validation": 3, "test": 60}
    assert counts.left_out == {
        "in other languages": 1,
        "in split other": 1,
        "without a transcript": 1,
        "named twice": 1,
    }


def test_many_splits_without_a_role_are_counted_together(tmp_path: Path) -> None:
    rows = [*SOUND, *((f"{n}.mp3", f"Άλλη {n}", f"part{n}", "el") for n in range(5))]
    assert _counts(tmp_path, rows).left_out == {"in 5 other splits": 5}


def test_a_file_that_two_rows_name_is_warned_of(tmp_path: Path) -> None:
    rows = [*SOUND, ("train/0.mp3", "Άλλη πρόταση", "train", "el")]
    write_folder(tmp_path, rows, header=HEADER)
    assert audiofolder.check(tmp_path, "el", DATA).warnings == (
        "el: 1 of 61 rows of train names a file that an earlier row names, such as train/0.mp3; "
        "dropped.",
    )


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, "data.holdout: holds out nothing: train has 1 different sentence, and no split"),
        ({"holdout": 0.0}, "data.holdout: is 0, and no split validates. Add more, or name"),
    ],
)
def test_a_run_without_an_utterance_to_validate_on_is_refused(
    tmp_path: Path, data: dict[str, float], told: str
) -> None:
    test = SOUND[60:]
    rows = [*test, *([SOUND[0]] if not data else SOUND[:60])]
    write_folder(tmp_path, rows, header=HEADER)
    with pytest.raises(SpecError) as caught:
        audiofolder.check(tmp_path, "el", DATA.model_copy(update=data))
    assert str(caught.value).startswith(told)
    assert audiofolder.check(tmp_path, "el", DATA, wanted=("test",)).counts.kept == {"test": 60}
