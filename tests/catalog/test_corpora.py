"""Every corpus has its readers, and says how it is written, read and cited."""

from __future__ import annotations

import importlib

import pytest

from jobrunner.catalog import corpora, languages
from jobrunner.catalog.corpora import CORPORA
from jobrunner.corpora import light_reader
from jobrunner.spec import Source

ALL = pytest.mark.parametrize("kind", CORPORA)


@ALL
def test_each_kind_is_named_by_its_key(kind: str) -> None:
    corpus = CORPORA[kind]
    assert corpus.kind == kind
    assert corpus.title
    assert (corpus.place == "none") == (not corpus.place_name)


@ALL
def test_the_core_has_a_reader_of_each(kind: str) -> None:
    assert callable(importlib.import_module(CORPORA[kind].reader).open_source)


@ALL
def test_a_corpus_of_local_files_has_a_light_reader_and_is_pinned_by_it(kind: str) -> None:
    corpus = CORPORA[kind]
    assert bool(corpus.light) == corpus.pinned
    reader = light_reader(Source(kind=kind, place="x" if corpus.place != "none" else ""))
    assert (reader is not None) == corpus.pinned
    if reader is not None:
        assert callable(reader.checked)
        assert callable(reader.pinned)


@ALL
def test_every_form_can_be_parsed(kind: str) -> None:
    for form in CORPORA[kind].forms:
        assert Source.parse(form).kind == kind
        assert f"`{form}`" in corpora.forms()


def test_all_forms_stand_in_one_phrase() -> None:
    assert corpora.forms() == "`fleurs`, `fleurs:MIRROR` or `folder:PATH`"


def test_a_language_has_its_part_of_a_corpus_or_none() -> None:
    fleurs, folder = CORPORA["fleurs"], CORPORA["folder"]
    assert fleurs.config(languages.find("el")) == "el_gr"
    assert fleurs.config(languages.find("br")) == ""
    assert folder.config(languages.find("el")) == ""
