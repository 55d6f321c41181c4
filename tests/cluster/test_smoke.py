"""The cluster itself: a node, pods that find each other by name, and S3."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config
from kubernetes import client

from jobrunner.storage import open_storage, probe
from tests.harness.waiting import until

# Runs in a pod: finds the other pod by name, stores its own index under a signed URL, and leaves
# when the other one has too.
WORKER = """
import os, socket, time, urllib.request
me = int(os.environ["JOB_COMPLETION_INDEX"])
other = f"pair-{1 - me}.pair"
deadline = time.monotonic() + 60

def insist(call):
    while True:
        try:
            return call()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)

def ask(url, **more):
    with urllib.request.urlopen(urllib.request.Request(url, **more), timeout=30) as answer:
        return answer.read().decode()

address = insist(lambda: socket.gethostbyname(other))
ask(os.environ[f"PUT_{me}"], data=str(me).encode(), method="PUT")
stored = insist(lambda: ask(os.environ[f"GET_{1 - me}"]))
print(f"{me} found {other} at {address}, which stored {stored}")
"""


def logs(api: client.ApiClient, namespace: str) -> str:
    """The logs of all pods of a namespace."""
    core = client.CoreV1Api(api)
    found = [pod.metadata.name for pod in core.list_namespaced_pod(namespace).items]
    return "\n".join(core.read_namespaced_pod_log(name, namespace) for name in found)


def pod(image: str, urls: dict[str, str]) -> dict[str, Any]:
    return {
        "restartPolicy": "Never",
        "subdomain": "pair",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "worker",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python3", "-c", WORKER],
                "env": [{"name": name, "value": url} for name, url in urls.items()],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }


def test_the_node_is_ready(api: client.ApiClient) -> None:
    nodes = client.CoreV1Api(api).list_node().items
    ready = [c.status for n in nodes for c in n.status.conditions if c.type == "Ready"]
    assert "True" in ready


def test_storage_on_the_cluster_does_all_that_a_run_needs(bucket: str) -> None:
    probe(open_storage(f"{bucket}/runs"))


def test_an_indexed_job_runs_finds_its_pods_and_writes_to_s3(
    api: client.ApiClient, namespace: str, bucket: str, base_image: str
) -> None:
    # boto3 signs URLs with version 2 unless configured otherwise, and that covers the content type.
    s3 = boto3.client(
        "s3",
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3"),
        config=Config(signature_version="s3v4"),
    )
    name = bucket.removeprefix("s3://")
    urls = {
        f"{verb}_{index}": s3.generate_presigned_url(
            f"{verb.lower()}_object", Params={"Bucket": name, "Key": f"index/{index}"}
        )
        for index in (0, 1)
        for verb in ("GET", "PUT")
    }
    service = {
        "metadata": {"name": "pair"},
        "spec": {
            "clusterIP": "None",
            "selector": {"job-name": "pair"},
            "publishNotReadyAddresses": True,
        },
    }
    client.CoreV1Api(api).create_namespaced_service(namespace, service)
    job = {
        "metadata": {"name": "pair"},
        "spec": {
            "completionMode": "Indexed",
            "completions": 2,
            "parallelism": 2,
            "backoffLimit": 0,
            "template": {"spec": pod(base_image, urls)},
        },
    }
    batch = client.BatchV1Api(api)
    batch.create_namespaced_job(namespace, job)
    status = until(
        lambda: [
            condition.type
            for condition in batch.read_namespaced_job("pair", namespace).status.conditions or ()
            if condition.type in {"Complete", "Failed"}
        ],
        "the job",
        seconds=120,
        every=0.2,
    )
    assert status == ["Complete"], logs(api, namespace)
    storage = open_storage(bucket)
    assert [storage.read(f"index/{index}") for index in (0, 1)] == [b"0", b"1"]
