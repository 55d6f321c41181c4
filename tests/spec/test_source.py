"""A source is parsed once, from every form that people write, and asked afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobrunner.catalog import corpora
from jobrunner.errors import SpecError
from jobrunner.spec import DataSpec, Source
from tests import builders


@pytest.mark.parametrize(
    ("text", "kind", "place"),
    [
        ("fleurs", "fleurs", ""),
        ("fleurs:/mirrors/fleurs", "fleurs", "/mirrors/fleurs"),
        ("folder:speech/welsh", "folder", "speech/welsh"),
        ("folder:C: a folder/ü", "folder", "C: a folder/ü"),
    ],
)
def test_each_form_is_parsed_and_written_again(text: str, kind: str, place: str) -> None:
    source = Source.parse(text, revision="abc")
    assert (source.kind, source.place, source.revision) == (kind, place, "abc")
    assert source.text == text


@pytest.mark.parametrize("text", ["", "fleurs:", "folder", "folder:", "radio", "radio:x", "Fleurs"])
def test_a_text_that_means_no_source_says_what_would_do(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        Source.parse(text)
    assert caught.value.message == f"data.source: {text!r} is not {corpora.forms()}."


def test_files_of_this_machine_make_the_run_and_a_mirror_does_not() -> None:
    folder, mirror = Source.parse("folder:/data/Speech Ü"), Source.parse("fleurs:/mirror")
    assert (folder.is_pinned, mirror.is_pinned) == (True, False)
    assert (folder.name, mirror.name) == ("speech-u", "fleurs")
    assert (folder.folder, mirror.folder) == (Path("/data/Speech Ü"), Path("/mirror"))
    assert Source.parse("fleurs").folder is None
    home = Source.parse("folder:~/speech").folder
    assert home == Path.home() / "speech"


def test_a_source_read_from_elsewhere_is_otherwise_the_same() -> None:
    source = Source.parse("folder:speech", revision="abc")
    placed = source.placed(Path("/data/speech"))
    assert placed.text == "folder:/data/speech"
    assert placed.revision == "abc"


def test_a_language_that_a_corpus_lacks_is_named_and_a_folder_lacks_none() -> None:
    assert Source.parse("fleurs").missing("el") == ""
    assert Source.parse("fleurs").missing("br") == "FLEURS has no Breton (br)."
    assert Source.parse("folder:speech").missing("br") == ""
    with pytest.raises(SpecError, match=r"^data\.source: FLEURS has no Breton .* --data folder:PA"):
        builders.spec(lang="br")
    with pytest.raises(SpecError, match=r"^data\.source: FLEURS has no Breton"):
        builders.spec(evaluate__languages=["el", "br"])


def test_people_set_one_source_and_its_revision() -> None:
    data = builders.spec(data={"source": "folder:speech", "revision": "abc", "holdout": 0.1}).data
    assert data.sources == (Source(kind="folder", place="speech", revision="abc"),)
    assert data.source == data.sources[0]
    assert data.holdout == 0.1
    assert builders.spec(data={"revision": "abc"}).data.source == Source.parse(
        "fleurs", revision="abc"
    )
    assert DataSpec().source == Source.parse("fleurs")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source": 5}, r"^data\.source: is a text, not 5\.$"),
        ({"revision": None}, r"^data\.revision: is a text, not None\.$"),
        ({"source": "folder:a\nb"}, r"^data\.source: has control characters\.$"),
        ({"source": f"folder:{'x' * 2000}"}, r"^data\.source: string should have at most 1000"),
        ({"revision": "a\nb"}, r"^data\.revision: has control characters\.$"),
        ({"source": "radio"}, r"^data\.source: 'radio' is not `fleurs`"),
        ({"sources": []}, r"^data\.source: "),
        ({"sources": [{"kind": "fleurs"}] * 2}, r"^data\.source: "),
        ({"sources": [{"kind": "radio"}]}, r"^data\.source: 'radio' is not one of fleurs, folder"),
        ({"sources": [{"kind": "fleurs", "revision": 5}]}, r"^data\.revision: "),
        ({"sources": [{"kind": "fleurs", "weight": 0.0}]}, r"^data\.source: "),
        ({"source": "fleurs", "sources": [{"kind": "fleurs"}], "x": 1}, r"^data\.x: "),
    ],
)
def test_errors_name_the_fields_that_people_set(data: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        builders.spec(data=data)
    assert "\n" not in str(caught.value)
