"""`k8s/`: what a cluster needs once, read as the YAML that it is."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
import yaml

from jobrunner.catalog import languages
from jobrunner.chart import documents, manifests
from jobrunner.spec import names
from tests import builders
from tests.harness.paths import ROOT

K8S = ROOT / "k8s"
METADATA_ADDRESS = "169.254.169.254"
HUB, S3_INSIDE, S3_OUTSIDE, API_SERVER = "18.165.1.1", "10.96.0.77", "52.218.1.1", "10.96.0.1"

Objects = list[dict[str, Any]]


def _read(folder: str) -> Objects:
    """The objects that a kustomization names, in its order, without what it includes."""
    place = K8S / folder
    told = yaml.safe_load((place / "kustomization.yaml").read_text())
    return [
        each
        for name in told["resources"]
        if name.endswith(".yaml")
        for each in documents.load((place / name).read_text())
    ]


def _one(objects: Objects, kind: str, name: str = "") -> dict[str, Any]:
    (found,) = [
        each
        for each in objects
        if each["kind"] == kind and (not name or each["metadata"]["name"] == name)
    ]
    return found


def _pods() -> dict[str, dict[str, str]]:
    """Labels of the pods of a run by stage, as the chart gives them."""
    run = builders.plan()
    templates = [each["spec"]["template"] for each in manifests.manifests(run)[1:]]
    labels = [template["metadata"]["labels"] for template in templates]
    return {each["jobrunner.dev/stage"]: each for each in labels}


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )


def _reaches(objects: Objects, labels: dict[str, str], address: str, port: int) -> bool:
    """True when some NetworkPolicy lets such a pod open a TCP connection there."""
    target = ipaddress.ip_address(address)

    def within(block: dict[str, Any]) -> bool:
        networks = [ipaddress.ip_network(text) for text in block.get("except", [])]
        return target in ipaddress.ip_network(block["cidr"]) and not any(
            target in network for network in networks
        )

    return any(
        any(each.get("protocol") == "TCP" and each["port"] == port for each in rule["ports"])
        and any("ipBlock" in to and within(to["ipBlock"]) for to in rule["to"])
        for policy in objects
        if policy["kind"] == "NetworkPolicy" and _selects(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get("egress", [])
        if "ports" in rule
    )


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate-el"])
def test_no_stage_reaches_the_metadata_address(stage: str) -> None:
    objects = _read("base") + _read("components/public-storage")
    for port in (53, 80, 443, 988):
        assert not _reaches(objects, _pods()[stage], METADATA_ADDRESS, port)


def test_only_prepare_reaches_the_hub() -> None:
    reached = {stage: _reaches(_read("base"), pod, HUB, 443) for stage, pod in _pods().items()}
    assert reached == {"prepare": True, "train": False, "evaluate-el": False}


def test_every_stage_reaches_storage_and_the_api_server() -> None:
    base = _read("base")
    for pod in _pods().values():
        assert _reaches(base, pod, S3_INSIDE, 443)
        assert _reaches(base, pod, S3_INSIDE, 9000)
        assert _reaches(base + _read("components/public-storage"), pod, S3_OUTSIDE, 443)
        assert _reaches(base, pod, "169.254.20.10", 53)
        assert _reaches(base, pod, API_SERVER, 6443)


def test_everything_that_no_rule_names_is_denied() -> None:
    deny = _one(_read("base"), "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    stranger = {"app": "something"}
    assert not _reaches(_read("base"), stranger, S3_INSIDE, 443)


def test_the_namespace_enforces_restricted_pods() -> None:
    labels = _one(_read("base"), "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_stage_may_get_and_patch_jobs_and_nothing_else() -> None:
    base = _read("base")
    assert _one(base, "Role")["rules"] == [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "patch"]}
    ]
    account = _one(base, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert account["metadata"]["name"] == builders.spec().cluster.service_account


def test_the_policy_speaks_of_the_names_that_the_project_uses() -> None:
    base = _read("base")
    policy = _one(base, "ValidatingAdmissionPolicy")
    text = str(policy)
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert f"'{names.PROGRESS_ANNOTATION}'" in text
    assert f"'{names.GATE_ANNOTATION}'" in text
    assert f"'{names.QUEUE_LABEL}'" in text
    assert f"'{names.LABEL_PREFIX}/run'" in text
    binding = _one(base, "ValidatingAdmissionPolicyBinding")["spec"]
    assert binding["policyName"] == policy["metadata"]["name"]
    assert binding["validationActions"] == ["Deny"]


def test_the_stages_that_the_policy_lets_release_are_those_that_others_wait_for() -> None:
    run = builders.plan()
    releasing = [stage.name for stage in run.stages if run.released_by(stage.name)]
    policy = _one(_read("base"), "ValidatingAdmissionPolicy")["spec"]
    (told,) = [each for each in policy["variables"] if each["name"] == "releases"]
    assert f"{releasing}.exists" in told["expression"]


def test_the_policy_can_read_the_names_of_all_pods_because_none_is_cut() -> None:
    run = builders.plan(
        model=f"someone/{'m' * 60}",
        data__source="folder:speech",
        evaluate__languages=list(languages.LANGUAGES),
    )
    policy = _one(_read("base"), "ValidatingAdmissionPolicy")["spec"]
    pattern = re.search(r"matches\('(.*?)'\)", policy["matchConditions"][0]["expression"])
    assert pattern
    for stage in run.stages:
        name = f"{names.job_name(run.run, stage.name)}-abcde"
        assert len(name) <= names.LONGEST_NAME
        assert re.search(pattern[1], name)


def test_people_who_submit_cannot_read_secrets_or_enter_pods() -> None:
    rules = [rule for each in _read("user") for rule in each.get("rules", [])]
    assert len(rules) >= 6
    for rule in rules:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert not {"secrets", "pods/exec", "pods/attach", "pods/portforward"} & set(
            rule["resources"]
        )


def test_priorities_are_there_and_only_the_highest_takes_nodes_from_others() -> None:
    classes = [each for each in _read("base") if each["kind"] == "PriorityClass"]
    assert [
        each["preemptionPolicy"] for each in sorted(classes, key=lambda c: int(c["value"]))
    ] == [
        *("Never", "Never", "PreemptLowerPriority"),
    ]
    assert not any(each.get("globalDefault") for each in classes)


def test_with_kueue_its_queues_count_gpus_and_the_quota_does_not() -> None:
    objects = _read("overlays/kueue")
    queue = _one(objects, "LocalQueue")
    assert queue["spec"]["clusterQueue"] == _one(objects, "ClusterQueue")["metadata"]["name"]
    told = yaml.safe_load((K8S / "overlays/kueue/kustomization.yaml").read_text())
    (removed,) = yaml.safe_load(told["patches"][0]["patch"])
    name = removed["path"].rpartition("/")[2].replace("~1", "/")
    assert removed["op"] == "remove"
    assert name in _one(_read("base"), "ResourceQuota")["spec"]["hard"]


def test_runs_that_allow_spot_nodes_tolerate_the_taints_of_the_spot_pool() -> None:
    pool = _one(_read("overlays/spot"), "NodePool")["spec"]
    run = builders.plan(cluster__spot=True)
    train = manifests.manifests(run)[2]["spec"]["template"]["spec"]
    tolerated = {each["key"] for each in train["tolerations"]}
    assert {taint["key"] for taint in pool["template"]["spec"]["taints"]} <= tolerated
    assert pool["disruption"]["consolidationPolicy"] == "WhenEmpty"


def test_every_file_belongs_to_a_kustomization() -> None:
    for place in K8S.rglob("kustomization.yaml"):
        told = set(yaml.safe_load(place.read_text())["resources"])
        there = {path.name for path in place.parent.glob("*.yaml")} - {place.name}
        assert there <= told
        assert all((place.parent / name).exists() for name in told)
