"""The model card has the front matter that the hub reads, and says what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from jobrunner.catalog.models import FAMILIES
from jobrunner.reports.modelcard import model_card
from jobrunner.scoring.result import Result
from jobrunner.spec.record import new_record
from tests import builders
from tests.harness.results import measure


def card_of(results: Sequence[Result] = (), **changes: Any) -> str:
    return model_card(new_record(builders.spec(**changes)), results, FAMILIES["whisper"])


def front(card: str) -> dict[str, Any]:
    _, matter, _ = card.split("---\n", 2)
    loaded = yaml.safe_load(matter)
    assert isinstance(loaded, dict)
    return loaded


def test_a_card_without_results_names_language_base_model_and_data() -> None:
    card = card_of(model="whisper-medium")
    matter = front(card)
    assert matter["language"] == "el"
    assert matter["base_model"] == "openai/whisper-medium"
    assert matter["datasets"] == ["google/fleurs"]
    assert matter["license"] == "apache-2.0"
    assert matter["library_name"] == "transformers"
    assert "model-index" not in matter
    assert "## Results" not in card
    assert "Greek (el)" in card
    assert "`el_gr`" in card


def test_results_stand_in_the_index_and_in_a_table() -> None:
    results = measure("el", 0.9, 0.1) + measure("en", 0.2, 0.2)
    card = card_of(results, model="whisper-tiny")
    entries = front(card)["model-index"][0]["results"]
    assert len(entries) == 2
    greek = entries[0]
    assert greek["task"]["type"] == "automatic-speech-recognition"
    assert greek["dataset"]["config"] == "el_gr"
    assert greek["metrics"][0]["type"] == "wer"
    assert greek["metrics"][0]["value"] == round(
        100 * results[1].scores.rates["wer"]["marks"].value, 2
    )
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    assert len(rows) == 3
    assert rows[1].startswith("| Greek (el) | fleurs test | WER |")
    assert r"\*" in rows[1]
    assert r"\*" not in rows[2]


def test_the_card_of_a_folder_claims_no_hub_id_licence_or_data_set() -> None:
    matter = front(card_of(lang="no", model="./my-model", data__source="folder:speech"))
    assert matter["language"] == "no"
    assert not {"base_model", "license", "datasets"} & set(matter)


def test_a_language_without_a_token_gets_no_language_argument() -> None:
    irish = card_of(lang="ga", model="someone/whisper-ga")
    javanese = card_of(lang="jv", model="whisper-tiny")
    english = card_of(lang="en", model="whisper-tiny.en")
    assert "generate_kwargs" not in irish
    assert '"language": "jw"' in javanese
    assert "generate_kwargs" not in english
