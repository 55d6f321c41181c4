"""Why a stage failed is read back from the log as the core writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobrunner.backends.logline import LONGEST, last_error, short
from jobrunner.core.attempt.progress import log
from jobrunner.errors import DataError

# Any one line that an error may be.
MESSAGES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1).filter(
    lambda text: bool(text.strip())
)


@pytest.mark.parametrize(
    "error",
    [
        DataError("None of 24 clips can be used.", hint="Cut them."),
        DataError("data.text_column: error: no such column"),
    ],
    ids=str,
)
def test_what_the_core_writes_is_read_back(
    capsys: pytest.CaptureFixture[str], error: DataError
) -> None:
    log("loading")
    log(f"error: {error}")
    log("the log is not in storage: no answer")
    assert last_error(capsys.readouterr().out.splitlines()) == str(error)


@given(message=MESSAGES, before=st.lists(MESSAGES), after=st.lists(st.just("12:00:00 bye")))
def test_any_error_is_read_back_in_one_line(
    message: str, before: list[str], after: list[str]
) -> None:
    lines = [*before, f"12:00:00 error: {message}", *after]
    assert last_error(lines) == short(message)


def test_the_last_error_counts() -> None:
    assert last_error(["12:00:00 error: one", "12:00:01 error: two", "12:00:02 end"]) == "two"


def test_without_an_error_the_last_line_counts() -> None:
    traceback = ["Traceback (most recent call last):", "ValueError: not a number", "", "  "]
    assert last_error(traceback) == "ValueError: not a number"
    assert last_error(["a line about an error: of others"]) == "a line about an error: of others"
    assert last_error([]) == ""


def test_an_error_of_another_program_does_not_hide_ours() -> None:
    lines = ["12:00:00 error: ours", "RuntimeError: theirs"]
    assert last_error(lines) == "ours"


@given(st.text(max_size=2000))
def test_a_reason_is_one_short_line(text: str) -> None:
    found = short(text)
    assert len(found) <= LONGEST
    assert found == " ".join(found.split())
    words = " ".join(text.split())
    assert found == words or (found.endswith("…") and words.startswith(found[:-1]))
