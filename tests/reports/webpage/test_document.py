"""The page is complete in itself, and shows no text as markup."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

from jobrunner.reports import compare, page
from jobrunner.reports.details import Details, Setting, curve
from jobrunner.reports.examples import choose
from jobrunner.spec.record import RunRecord
from tests import builders
from tests.harness.results import RUN, measure, pair

OTHER = "el-whisper-tiny-00c0ffee"
HISTORY = [
    b'{"step": 1, "loss": 2.5, "learning_rate": 1}',
    b'{"step": 2, "metric": "wer", "rate": 0.5}',
]


class _Audit(HTMLParser):
    """Collects what a page would fetch or run, and whether its tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href", "onload"}]
        self.fetched += [tag] if tag in {"script", "link", "iframe", "img"} else []
        if tag not in {"meta", "line", "circle"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"line", "circle"}:
            assert self.open.pop() == tag


def test_the_page_is_complete_in_itself_and_well_formed() -> None:
    results = measure("el", 0.9, 0.1) + measure("hi", 0.5, 0.4) + measure("th", 0.6, 0.2)
    made = page(compare(results))
    audit = _Audit()
    audit.feed(made)
    assert audit.fetched == []
    assert audit.open == []
    assert "http" not in made
    assert "prefers-color-scheme: dark" in made
    assert "In Hindi (hi), Thai (th) the basic way deletes vowel signs" in made
    picture = made[made.index("<svg") : made.index("</svg>") + 6]
    root = ElementTree.fromstring(picture)
    assert len(root.findall("g")) == 6
    assert page(compare(results)) == made


def test_what_comes_from_outside_is_escaped_in_the_page() -> None:
    hostile = "<script>alert(1)</script>"
    results = [
        result.model_copy(update={"model": hostile, "device": hostile, "test_set": hostile})
        for result in measure("el", 0.9, 0.1)
    ]
    assert "<script" not in page(compare(results), title=hostile)


def _details(run: str = RUN, *, steps: str = "2000", word: str = "κόσμε") -> Details:
    """A run with everything that a page can show."""
    said, wrote = ["καλημέρα κόσμε"], [f"{word} κόσμε"]
    _, tuned = pair(said, wrote, wrote, run=run)
    return Details(
        run=run,
        storage="s3://speech/runs",
        record=RunRecord(run=run, digest="", spec=builders.spec(model="whisper-tiny")),
        settings=(
            Setting(path="train.steps", value=steps, default="2000"),
            Setting(path="train.dropout", value="0", default="0"),
        ),
        curve=curve(HISTORY),
        exported=True,
        examples=[choose(tuned, [("clip", said[0], wrote[0])], 10)],
    )


def test_the_page_of_one_run_has_its_model_settings_curve_and_examples() -> None:
    made = page(compare(measure("el", 0.9, 0.1)), [_details(steps="400")])
    audit = _Audit()
    audit.feed(made)
    assert (audit.fetched, audit.open) == ([], [])
    assert f"s3://speech/runs/runs/{RUN}/export" in made
    assert f"jobrunner export {RUN} ./{RUN}" in made
    assert "from transformers import pipeline" in made
    assert "400 <small>(default 2000)</small>" in made
    assert made.index("train.steps") < made.index("1 settings at their defaults")
    assert made.index("1 settings at their defaults") < made.index("train.dropout")
    assert "best 50.0% at step 2" in made
    assert '<span class="s"><del>καλημέρα</del><ins>κόσμε</ins></span>' in made


def test_a_model_that_is_not_there_is_not_offered() -> None:
    hidden = replace(_details(), exported=False)
    assert "transformers import" not in page(compare(measure("el", 0.9, 0.1)), [hidden])


def test_several_results_of_a_language_are_told_apart_by_their_settings() -> None:
    found = compare(measure("el", 0.9, 0.3) + measure("el", 0.9, 0.1, run=OTHER))
    made = page(found, [_details(), _details(OTHER, steps="400")])
    pictures = made[: made.index("<h2>In figures")]
    assert pictures.count("steps 2000") == 2
    assert pictures.count("steps 400") == 2
    # The better one comes first.
    assert pictures.index("steps 400") < pictures.index("steps 2000")
    assert f"<b>{OTHER}</b><small>steps 400</small>" in made
    unknown = page(found)
    assert unknown.count(OTHER) > 2


def test_texts_of_a_model_and_settings_are_escaped() -> None:
    hostile = "<script>alert(1)</script>"
    details = replace(
        _details(word="<img/src=x>"),
        settings=(Setting(path=hostile, value=hostile, default=hostile + "x"),),
        storage=f"/{hostile}",
    )
    made = page(compare(measure("el", 0.9, 0.1)), [details])
    audit = _Audit()
    audit.feed(made)
    assert (audit.fetched, audit.open) == ([], [])
    assert "<script" not in made
    assert "<img" not in made


def test_rows_have_their_names_on_a_narrow_screen() -> None:
    made = page(compare(measure("el", 0.9, 0.1)))
    assert '<td data-label="Fine-tuned, %">' in made
    assert '<svg class="wide"' in made
    assert '<svg class="narrow"' in made
    assert "overflow-x" not in made
