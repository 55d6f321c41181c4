"""What the pods of a run look like: one case, one behaviour."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobrunner.chart import manifests
from jobrunner.chart.values import grace_seconds
from jobrunner.spec import names
from tests import builders
from tests.harness.paths import CASES

Objects = list[dict[str, Any]]
Case = Callable[[str], Objects]
Pod = Callable[[str, str], dict[str, Any]]
NAMES_OF_CASES = sorted(path.stem for path in CASES.glob("*.yaml"))


def _jobs(objects: Objects) -> Objects:
    return [each for each in objects if each["kind"] == "Job"]


def _container(template: dict[str, Any]) -> dict[str, Any]:
    (container,) = template["spec"]["containers"]
    return dict(container)


def _environment(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in _container(template)["env"]}


def test_every_case_is_used_by_a_test() -> None:
    text = Path(__file__).read_text() + (Path(__file__).parent / "test_manifests.py").read_text()
    assert len(NAMES_OF_CASES) >= 10
    assert [case for case in NAMES_OF_CASES if f'"{case}"' not in text] == []


@pytest.mark.parametrize("case", NAMES_OF_CASES)
def test_pods_meet_the_restricted_pod_security_standard(case: str, objects: Case) -> None:
    for job in _jobs(objects(case)):
        pod = job["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] >= 10000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert {next(iter(set(each) - {"name"})) for each in pod["volumes"]} <= {
            "configMap",
            "emptyDir",
        }
        container = _container(job["spec"]["template"])
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "hostPort" not in container["ports"][0]


@pytest.mark.parametrize("case", NAMES_OF_CASES)
def test_labels_and_environment_are_strings_that_kubernetes_takes(case: str, objects: Case) -> None:
    value = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
    for each in objects(case):
        for label in each["metadata"]["labels"].values():
            assert value.fullmatch(label)
    for job in _jobs(objects(case)):
        assert job["spec"]["template"]["metadata"]["labels"].items() <= (
            job["metadata"]["labels"].items()
        )
        for variable in _environment(job["spec"]["template"]).values():
            assert isinstance(variable.get("value", ""), str)


def test_the_first_stage_runs_and_later_ones_are_suspended(objects: Case) -> None:
    assert [job["spec"]["suspend"] for job in _jobs(objects("plain"))] == [False, True, True]


def test_a_job_tries_as_often_as_the_spec_says_and_disruptions_do_not_count(objects: Case) -> None:
    for job in _jobs(objects("plain")):
        body = job["spec"]
        assert body["backoffLimit"] == 3
        assert (body["parallelism"], body["completions"]) == (1, 1)
        assert body["podReplacementPolicy"] == "Failed"
        assert body["template"]["spec"]["restartPolicy"] == "Never"
        first, second = body["podFailurePolicy"]["rules"]
        assert first["action"] == "Ignore"
        assert first["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
        assert second["action"] == "FailJob"
        assert second["onExitCodes"]["values"] == [2, 65, 66, 67, 68, 69, 70, 71, 72]
        assert second["onExitCodes"]["containerName"] == _container(body["template"])["name"]


def test_limits_of_time_and_tries_follow_the_spec(objects: Case) -> None:
    for job in _jobs(objects("limits")):
        assert job["spec"]["backoffLimit"] == 0
        assert job["spec"]["activeDeadlineSeconds"] == 1800
        assert job["spec"]["ttlSecondsAfterFinished"] == 86400


def test_a_stage_finds_its_spec_its_attempt_and_its_places(objects: Case, pod: Pod) -> None:
    variables = _environment(pod("plain", "train"))
    assert variables["JOBRUNNER_SPEC"]["value"] == "/etc/jobrunner/run.json"
    [config_map, *_] = objects("plain")
    assert variables["JOBRUNNER_RUN"]["value"] == config_map["metadata"]["name"]
    assert variables["JOBRUNNER_ATTEMPT"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.uid"
    assert variables["JOBRUNNER_STAGE"]["value"] == "train"
    assert variables["JOBRUNNER_NAMESPACE"]["value"] == "jobrunner"
    mounts = {each["mountPath"] for each in _container(pod("plain", "train"))["volumeMounts"]}
    assert {"/etc/jobrunner", "/scratch", "/tmp", "/dev/shm"} == mounts
    for name in ("JOBRUNNER_SCRATCH", "HOME", "TMPDIR", "HF_HOME", "TORCHINDUCTOR_CACHE_DIR"):
        assert variables[name]["value"].startswith(("/scratch", "/tmp"))


def test_the_arguments_are_those_of_the_plan(pod: Pod) -> None:
    container = _container(pod("norwegian", "evaluate-no"))
    assert container["command"][-3:] == ["python", "-m", "jobrunner.core"]
    assert container["args"] == ["evaluate", "--lang", "no"]


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate-el"])
def test_every_stage_has_a_token_to_write_its_progress(stage: str, pod: Pod) -> None:
    assert pod("plain", stage)["spec"]["automountServiceAccountToken"] is True


def test_gpu_stages_ask_for_the_product_by_its_exact_label(pod: Pod) -> None:
    train = pod("a100", "train")["spec"]
    assert train["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
    assert train["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    resources = _container(pod("a100", "train"))["resources"]
    assert resources["requests"] == {"cpu": "32", "memory": "200Gi", "nvidia.com/gpu": 4}
    assert resources["limits"] == {"memory": "200Gi", "nvidia.com/gpu": 4}
    evaluate = _container(pod("a100", "evaluate-el"))["resources"]
    assert evaluate["limits"]["nvidia.com/gpu"] == 1


def test_prepare_needs_no_gpu_node(pod: Pod) -> None:
    prepare = pod("a100", "prepare")["spec"]
    assert "nodeSelector" not in prepare
    assert "tolerations" not in prepare
    assert _container(pod("a100", "prepare"))["resources"] == {
        "requests": {"cpu": "8", "memory": "16Gi"},
        "limits": {"memory": "16Gi"},
    }


def test_sizes_of_scratch_and_shared_memory_are_limits(pod: Pod) -> None:
    volumes = {
        each["name"]: each.get("emptyDir") for each in pod("a100", "train")["spec"]["volumes"]
    }
    assert volumes["scratch"] == {"sizeLimit": "500Gi"}
    assert volumes["shared-memory"] == {"medium": "Memory", "sizeLimit": "32Gi"}


def test_a_cluster_may_have_labels_and_taints_of_its_own(pod: Pod) -> None:
    train = pod("own-labels", "train")["spec"]
    assert train["nodeSelector"] == {"cloud.example/accelerator": "t4"}
    assert [each["key"] for each in train["tolerations"]] == ["cloud.example/gpu", "team"]


def test_a_run_on_the_cpu_asks_for_no_gpu(pod: Pod) -> None:
    for stage in ("prepare", "train", "evaluate-el"):
        template = pod("cpu", stage)
        assert "nodeSelector" not in template["spec"]
        assert "nvidia.com/gpu" not in _container(template)["resources"]["limits"]


def test_under_kueue_every_job_waits_for_admission_and_later_ones_for_their_gate(
    objects: Case,
) -> None:
    first, *later = _jobs(objects("kueue"))
    for job in (first, *later):
        assert job["metadata"]["labels"][names.QUEUE_LABEL] == "speech"
        assert job["spec"]["suspend"] is True
        assert job["spec"]["template"]["spec"]["priorityClassName"] == "jobrunner-low"
    assert "annotations" not in first["metadata"]
    for job in later:
        assert job["metadata"]["annotations"] == {names.GATE_ANNOTATION: names.GATE}


def test_stages_keep_off_nodes_that_can_vanish_unless_the_run_allows_them(pod: Pod) -> None:
    usual = pod("plain", "prepare")["spec"]
    (term,) = usual["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    avoided = {each["key"]: each["values"] for each in term["matchExpressions"]}
    assert {each["operator"] for each in term["matchExpressions"]} == {"NotIn"}
    assert avoided["cloud.google.com/gke-spot"] == ["true"]
    assert "tolerations" not in usual
    spot = pod("spot", "prepare")["spec"]
    assert "affinity" not in spot
    assert "cloud.google.com/gke-spot" in [each["key"] for each in spot["tolerations"]]


@pytest.mark.parametrize("case", ["plain", "spot"])
def test_autoscalers_do_not_move_a_stage_to_save_nodes(case: str, pod: Pod) -> None:
    annotations = pod(case, "train")["metadata"]["annotations"]
    assert annotations["karpenter.sh/do-not-disrupt"] == "true"
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"


def test_secrets_are_named_and_never_copied(objects: Case, pod: Pod) -> None:
    prepare, train = (_environment(pod("secrets", stage)) for stage in ("prepare", "train"))
    for variables in (prepare, train):
        key = variables["AWS_SECRET_ACCESS_KEY"]["valueFrom"]["secretKeyRef"]
        assert key == {"name": "s3-keys", "key": "AWS_SECRET_ACCESS_KEY", "optional": False}
        assert variables["AWS_SESSION_TOKEN"]["valueFrom"]["secretKeyRef"]["optional"] is True
    assert prepare["HF_TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == "hub-token"
    assert "HF_TOKEN" not in train
    assert train["HF_HUB_OFFLINE"]["value"] == "1"
    assert "HF_HUB_OFFLINE" not in prepare
    assert pod("secrets", "train")["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert "Secret" not in {each["kind"] for each in objects("secrets")}


def test_without_secrets_the_pod_uses_its_workload_identity(pod: Pod) -> None:
    train = pod("plain", "train")
    assert not [name for name in _environment(train) if name.startswith("AWS_")]
    assert train["spec"]["serviceAccountName"] == "jobrunner-stage"


def test_metrics_are_scraped_by_annotation_and_by_pod_monitor(objects: Case, pod: Pod) -> None:
    train = pod("monitor", "train")
    (port,) = _container(train)["ports"]
    assert port["name"] == "metrics"
    assert train["metadata"]["annotations"]["prometheus.io/port"] == str(port["containerPort"])
    assert _environment(train)["JOBRUNNER_METRICS_PORT"]["value"] == str(port["containerPort"])
    monitor = objects("monitor")[-1]
    assert monitor["kind"] == "PodMonitor"
    assert monitor["metadata"]["namespace"] == "speech-team"
    selected = monitor["spec"]["selector"]["matchLabels"].items()
    assert selected <= train["metadata"]["labels"].items()
    assert monitor["spec"]["podMetricsEndpoints"][0]["port"] == "metrics"


def test_an_evaluation_alone_trains_nothing(objects: Case) -> None:
    stages = [
        job["metadata"]["labels"]["jobrunner.dev/stage"] for job in _jobs(objects("evaluate-only"))
    ]
    assert stages == ["prepare", "evaluate-el", "evaluate-en"]


@pytest.mark.parametrize(
    ("model", "seconds"),
    [
        # 30 s to stop and 12 B a weight at 50 MB/s: 2.9 GB and 18.5 GB.
        ("whisper-small", 89),
        ("whisper-large-v3", 401),
        ("someone/unknown-model", 401),
    ],
)
def test_training_has_the_time_to_upload_a_checkpoint(model: str, seconds: int) -> None:
    run = builders.spec(model=model)
    assert grace_seconds(run, "train") == seconds
    assert grace_seconds(run, "evaluate") == 30
    train = manifests.manifests(builders.plan_of(run))[2]["spec"]["template"]
    assert train["spec"]["terminationGracePeriodSeconds"] == seconds
    assert _environment(train)["JOBRUNNER_GRACE_SECONDS"]["value"] == str(seconds)
    named = _environment(train)["JOBRUNNER_NODE"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert named == "spec.nodeName"
