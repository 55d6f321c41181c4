"""From a spec to objects: exactly those expected, whatever the values are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from jobrunner.chart import documents, helm, manifests
from jobrunner.chart.values import values
from jobrunner.errors import JobrunnerError, SpecError, UsageError
from jobrunner.spec import RunSpec, names
from jobrunner.spec.record import new_record, read_record
from tests import builders
from tests.harness.specs import specs

Objects = list[dict[str, Any]]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(specs())
def test_any_valid_spec_gives_exactly_the_objects_of_its_plan(spec: RunSpec) -> None:
    run = builders.plan_of(spec)
    objects = manifests.manifests(run)
    assert [(each["kind"], each["metadata"]["name"]) for each in objects] == [
        ("ConfigMap", run.run),
        *(("Job", names.job_name(run.run, stage.name)) for stage in run.stages),
        *([("PodMonitor", run.run)] if spec.cluster.monitor else []),
    ]
    assert {each["metadata"]["namespace"] for each in objects} == {spec.cluster.namespace}
    read = read_record(objects[0]["data"]["run.json"])
    assert read == run.record
    assert new_record(read.spec) == run.record
    for stage, job in zip(run.stages, objects[1:], strict=False):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["image"] == spec.cluster.image
        assert container["args"] == list(stage.args)
    printed = manifests.render(run)
    assert list(yaml.safe_load_all(printed)) == objects


def test_render_is_the_same_each_time() -> None:
    assert manifests.render(builders.plan()) == manifests.render(builders.plan())


def test_the_language_no_stays_a_string(objects: Callable[[str], Objects]) -> None:
    found = objects("norwegian")
    assert {each["metadata"]["labels"]["jobrunner.dev/language"] for each in found} == {"no"}
    text = "".join(documents.dump(each) for each in found)
    assert 'jobrunner.dev/language: "no"' in text
    assert "language: no\n" not in text


def test_a_million_steps_stay_a_million(objects: Callable[[str], Objects]) -> None:
    text = objects("norwegian")[0]["data"]["run.json"]
    assert '"steps": 1000000\n' in text


def test_a_number_that_json_cannot_carry_is_refused() -> None:
    assert manifests.manifests(builders.plan(seed=2**53 - 1))
    with pytest.raises(SpecError, match="seed"):
        builders.plan(seed=2**53 + 1)


def test_the_engine_refuses_values_that_the_schema_does_not_know() -> None:
    run = builders.plan()
    for wrong in (
        {**values(run), "surprise": 1},
        {**values(run), "deadlineSeconds": 1.5},
        {**values(run), "resources": {**values(run)["resources"], "gpus": 2**53 + 1}},
        {key: value for key, value in values(run).items() if key != "stages"},
    ):
        with pytest.raises(UsageError, match="schema"):
            helm.render(manifests.chart_folder(), wrong, release="run", namespace="space")


def test_values_are_data_and_neither_code_nor_yaml(objects: Callable[[str], Objects]) -> None:
    found = objects("hostile")
    assert [each["kind"] for each in found] == ["ConfigMap", "Job", "Job", "Job"]
    told = json.loads(found[0]["data"]["run.json"])["spec"]
    assert told["storage"] == "s3://bucket/{{ .Values.run }}"
    assert told["data"]["text_column"] == '--- {{ fail "no" }} ---'
    pod = found[2]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "yes"}
    assert [each["key"] for each in pod["tolerations"]] == ["1e3", "null"]
    # Past the spec's own check of images and keys.
    given = values(builders.plan())
    given["cluster"]["image"] = 'x", "command": ["id"], "y": "'
    given["cluster"]["tolerations"] = ["1e3", "null", "]}, {"]
    text = helm.render(manifests.chart_folder(), given, release="run", namespace="space")
    pod = documents.load(text)[2]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == 'x", "command": ["id"], "y": "'
    assert pod["containers"][0]["command"][0] == "tini"
    assert [each["key"] for each in pod["tolerations"]] == ["1e3", "null", "]}, {"]


def test_a_newline_cannot_add_an_object() -> None:
    evil = "x\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: jobrunner}"
    with pytest.raises(SpecError, match="control characters"):
        builders.plan(data__source=f"folder:{evil}")
    # Past the spec's own check: Helm's engine gets the newline, and it stays in its string.
    given = values(builders.plan())
    given["cluster"]["image"] = given["runFile"] = evil
    text = helm.render(manifests.chart_folder(), given, release="run", namespace="space")
    found = documents.load(text)
    assert [each["kind"] for each in found] == ["ConfigMap", "Job", "Job", "Job"]
    assert found[0]["data"]["run.json"] == evil
    assert found[1]["spec"]["template"]["spec"]["containers"][0]["image"] == evil


def test_a_chart_that_gives_other_objects_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "speech-run"
    for path in manifests.chart_folder().rglob("*"):
        if path.is_file():
            copy = changed / path.relative_to(manifests.chart_folder())
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (changed / "templates" / "more.yaml").write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: jobrunner}\n"
    )
    monkeypatch.setattr(manifests, "chart_folder", lambda: changed)
    with pytest.raises(JobrunnerError, match="Secret"):
        manifests.manifests(builders.plan())


def test_the_config_map_owns_the_rest() -> None:
    objects = manifests.manifests(builders.plan(cluster__monitor=True))
    owner, *others = manifests.owned(objects, uid="1-2-3")
    assert "ownerReferences" not in owner["metadata"]
    assert len(others) == 4
    for other in others:
        assert other["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": owner["metadata"]["name"],
                "uid": "1-2-3",
            }
        ]
    assert all("ownerReferences" not in each["metadata"] for each in objects)


def test_without_helm_one_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "helm_python", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="pip install helm-python-sdk"):
        manifests.manifests(builders.plan())


@pytest.mark.parametrize(
    "text",
    ["no", "y", "1e3", "012", "12:30:45", "0x1f", "~", "", "-", "a: b", "tab\there", "two\nlines"],
)
def test_yaml_keeps_strings_that_readers_like_to_convert(text: str) -> None:
    written = documents.dump({"value": text})
    assert yaml.safe_load(written) == {"value": text}
    assert written.strip() not in {f"value: {text}"}


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(yaml.YAMLError, match="twice"):
        documents.load("a: 1\na: 2\n")
