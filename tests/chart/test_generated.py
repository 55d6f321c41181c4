"""What is generated agrees with what it is generated from."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
import yaml

from jobrunner.chart import manifests
from jobrunner.chart.values import schema, values
from jobrunner.spec.paths import settings
from tests import builders
from tests.harness.paths import ROOT


def test_the_reference_and_the_schema_are_not_stale() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}Run `make generate`."


def test_the_reference_names_every_field_and_every_variable_that_the_code_reads() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text()
    assert [path for path in settings() if f"`{path}`" not in reference] == []
    sources = [*(ROOT / "jobrunner").rglob("*.py"), *(ROOT / "charts").rglob("*.tpl")]
    read = {
        name
        for path in sources
        for name in re.findall(r"(?<![A-Z_])JOBRUNNER_[A-Z]+[A-Z_]*[A-Z]", path.read_text())
    }
    assert len(read) > 5
    fields = {f"JOBRUNNER_{path.upper().replace('.', '__')}" for path in settings()}
    assert [name for name in sorted(read - fields) if f"`{name}`" not in reference] == []


def test_the_schema_is_closed_everywhere() -> None:
    def objects(part: object) -> list[dict[str, Any]]:
        if isinstance(part, dict):
            own = [part] if "properties" in part else []
            return own + [found for inner in part.values() for found in objects(inner)]
        if isinstance(part, list):
            return [found for inner in part for found in objects(inner)]
        return []

    found = objects(schema())
    assert len(found) == 7
    assert all(each["additionalProperties"] is False for each in found)
    assert all(set(each["properties"]) == set(each["required"]) for each in found)


def test_the_values_of_a_plan_and_of_the_chart_fit_the_schema_together() -> None:
    run = builders.plan()
    own = yaml.safe_load((manifests.chart_folder() / "values.yaml").read_text())
    together = {**own, **values(run)}
    jsonschema.validate(together, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(own, schema())
    assert set(values(run)) | {"pod"} == set(own) == set(schema()["properties"])


def test_a_sentence_stands_over_every_value() -> None:
    lines = (manifests.chart_folder() / "values.yaml").read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"( {2})?[a-zA-Z]+:", line)]
    assert len(keys) > 12
    bare = [
        lines[number]
        for number in keys
        if lines[number] != "pod:" and not lines[number - 1].strip().startswith("# ")
    ]
    assert bare == []


def test_the_version_of_the_chart_is_that_of_the_package() -> None:
    from jobrunner import __version__

    told = yaml.safe_load((manifests.chart_folder() / "Chart.yaml").read_text())
    assert told["version"] == told["appVersion"] == __version__
    assert json.loads((manifests.chart_folder() / "values.schema.json").read_text()) == schema()
