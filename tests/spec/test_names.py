"""Run ids, whole and by their start."""

from __future__ import annotations

import pytest

from jobrunner.errors import UsageError
from jobrunner.spec import names
from tests import builders

KNOWN = ["el-whisper-tiny-1f6e09ab", "el-whisper-tiny-1f6e2222", "sw-whisper-tiny-00000000"]


@pytest.mark.parametrize("lang", ["el", "yue"])
def test_an_id_that_a_submit_gives_is_whole_and_its_start_is_not(lang: str) -> None:
    run = builders.run_id(builders.spec(lang=lang, model="whisper-large-v3"))
    assert names.is_whole(run)
    assert not any(names.is_whole(run[:length]) for length in range(len(run)))


def test_a_start_stands_for_the_one_id_that_has_it() -> None:
    assert names.completed("sw", KNOWN) == KNOWN[2]
    assert names.completed("el-whisper-tiny-1f6e0", KNOWN) == KNOWN[0]
    assert names.completed("nothing", KNOWN) == "nothing"


def test_an_exact_id_wins_over_a_longer_one() -> None:
    assert names.completed(KNOWN[0], [*KNOWN, f"{KNOWN[0]}-more"]) == KNOWN[0]


def test_a_start_of_several_ids_names_them_and_not_hundreds() -> None:
    with pytest.raises(UsageError, match=rf"2 run ids: {KNOWN[0]}, {KNOWN[1]}\. Type more of"):
        names.completed("el", KNOWN)
    many = [f"el-whisper-tiny-{number:08x}" for number in range(500)]
    with pytest.raises(UsageError, match=r"500 run ids: .*-00000007 and 492 more\.") as caught:
        names.completed("el", many)
    assert len(str(caught.value)) < 400
