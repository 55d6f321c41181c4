"""The worst and the median utterances are chosen by the rate that leads."""

from __future__ import annotations

from pathlib import Path

from jobrunner.reports import compare
from jobrunner.reports.examples import choose, read
from jobrunner.scoring.rates import score
from jobrunner.spec import keys
from jobrunner.storage.local import LocalStorage
from tests.harness.results import RUN, result, store

SAID = [f"ένα δύο τρία τέσσερα {name}" for name in "αβγδε"]
# Four errors, none, two, one and three.
WROTE = ["- - - - α", "ένα δύο τρία τέσσερα β", "- - τρία τέσσερα γ"]
WROTE += ["- δύο τρία τέσσερα δ", "- - - τέσσερα ε"]
TEXTS = [(f"clip-{place}", *pair) for place, pair in enumerate(zip(SAID, WROTE, strict=True))]


def test_the_worst_come_first_and_the_median_are_others() -> None:
    found = choose(result("tuned", score(SAID, WROTE)), TEXTS, 1)
    assert [example.clip for example in found.worst] == ["clip-0"]
    assert [example.clip for example in found.median] == ["clip-2"]
    assert found.worst[0].rate == 0.8


def test_no_utterance_is_shown_twice_and_few_are_all_shown() -> None:
    found = choose(result("tuned", score(SAID, WROTE)), TEXTS, 3)
    clips = [example.clip for example in (*found.worst, *found.median)]
    assert clips == ["clip-0", "clip-4", "clip-2", "clip-3", "clip-1"]


def test_results_without_counts_and_references_without_text_are_no_obstacle() -> None:
    scores = score([*SAID, "..."], [*WROTE, "τι"]).model_copy(update={"counts": ()})
    found = choose(result("tuned", scores), [*TEXTS, ("silent", "...", "τι")], 9)
    assert [example.clip for example in found.worst] == [f"clip-{n}" for n in (0, 4, 2, 3, 1)]


def test_words_are_shown_as_written_and_compared_as_counted() -> None:
    said, wrote = ["Καλημέρα, κόσμε!"], ["καλημέρα ΚΌΣΜΕ"]
    (example,) = choose(result("tuned", score(said, wrote)), [("a", said[0], wrote[0])], 1).worst
    assert example.rate == 0
    assert [(pair.reference, pair.hypothesis) for pair in example.pairs] == [
        ("Καλημέρα,", "καλημέρα"),
        ("κόσμε!", "ΚΌΣΜΕ"),
    ]


def test_languages_without_spaces_are_aligned_by_character() -> None:
    scores = score(["かぎが"], ["かきが"], unit="characters")
    (example,) = choose(
        result("tuned", scores, language="ja"), [("a", "かぎが", "かきが")], 1
    ).worst
    assert [pair.kind for pair in example.pairs] == ["equal", "substitution", "equal"]


def test_texts_that_are_gone_or_damaged_are_named(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    found = result("tuned", score(SAID, WROTE))
    lines: list[str] = []
    assert read(storage, compare([found]), 2, warn=lines.append) == []
    assert "is not in storage" in lines.pop()
    assert read(storage, compare([found]), 2, wanted=False, warn=lines.append) == []
    assert lines == []
    storage.write(keys.predictions_file(RUN, "tuned", "fleurs", "el"), b"PAR1 cut off")
    assert read(storage, compare([found]), 2, wanted=False, warn=lines.append) == []
    assert "cannot be read" in lines.pop()
    store(storage, found, SAID, WROTE)
    assert len(read(storage, compare([found]), 2, warn=lines.append)) == 1
    assert lines == []
