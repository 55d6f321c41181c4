"""The client's side of a cluster: the chart, the upload, the kubeconfig, a start that waits."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from importlib import util
from pathlib import Path

import pytest

from jobrunner.backends.kubernetes import prepare_here as uploads
from jobrunner.backends.kubernetes.api.client import Cluster
from jobrunner.backends.kubernetes.status import run_status
from jobrunner.chart import manifests
from jobrunner.cli.follow import finish
from jobrunner.errors import ClusterError, JobrunnerError, SpecError, UsageError
from jobrunner.runner.api import Runner
from jobrunner.spec.record import new_record
from jobrunner.states import RunStatus
from tests import builders
from tests.harness.hints import assert_hint, hinted
from tests.harness.recorded import recorded
from tests.harness.servers.https import Server, certificates, running
from tests.harness.speech import make_spec, report, rows, write_speech


@pytest.fixture
def chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the chart, which is the one that is used."""
    copy = shutil.copytree(manifests.chart_folder(), tmp_path / "charts" / "speech-run")
    monkeypatch.setattr(manifests, "chart_folder", lambda: copy)
    return copy


def _template(chart: Path) -> Path:
    """The template of the Jobs."""
    [found] = [path for path in (chart / "templates").iterdir() if "kind: Job" in path.read_text()]
    return found


def test_a_chart_that_was_changed_and_corrected(chart: Path) -> None:
    template = _template(chart)
    before = template.read_text()
    template.write_text(before + "\n{{ .Values.nosuch.deeper }}\n{{ end }}\n")
    with hinted("If you changed charts/speech-run, correct it there or take it back.", UsageError):
        manifests.manifests(builders.plan())
    template.write_text(before)
    assert manifests.manifests(builders.plan())


def test_a_chart_that_lacked_a_template(chart: Path) -> None:
    template = _template(chart)
    before = template.read_text()
    template.write_text("")
    hint = "If you changed charts/speech-run, correct it there or take it back."
    with hinted(hint, JobrunnerError):
        manifests.manifests(builders.plan())
    template.write_text(before)
    assert manifests.manifests(builders.plan())


def test_helm_as_a_package_or_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = builders.plan()
    expected = manifests.render(plan)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "helm_python", None)
        patch.setenv("PATH", str(tmp_path))
        with hinted("Run `pip install helm-python-sdk`, or put `helm` on the PATH.", UsageError):
            manifests.manifests(plan)
        # A program that stands in for helm, and answers with what it would.
        (tmp_path / "expected").write_text(expected)
        (tmp_path / "helm").write_text(f"#!/bin/sh\nexec /bin/cat {tmp_path}/expected\n")
        (tmp_path / "helm").chmod(0o755)
        assert manifests.render(plan) == expected
    assert manifests.render(plan) == expected


def test_an_upload_with_the_packages_of_the_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_speech(tmp_path / "speech", rows())
    spec = make_spec(tmp_path)
    record = new_record(spec)
    with monkeypatch.context() as patch:
        patch.setattr(uploads, "find_spec", lambda name: None)
        with hinted("pip install 'jobrunner[core]'", SpecError):
            uploads.prepare_here(record)
    assert util.find_spec("torch")
    (tmp_path / "model" / "config.json").rename(tmp_path / "config.json")
    with hinted(
        "Put that right and submit the run again: pods cannot reach this machine.",
        JobrunnerError,
    ):
        uploads.prepare_here(record)
    (tmp_path / "config.json").rename(tmp_path / "model" / "config.json")
    uploads.prepare_here(record)
    assert report(spec)


class _Recorded:
    """Gives what a real API server had answered at some times."""

    name = "kubernetes"

    def __init__(self, *names: str) -> None:
        self._left = list(names)
        self.cancelled: list[str] = []

    def watch(self, run: str, *, timeout: float | None = None) -> Iterator[RunStatus]:
        yield run_status(recorded(self._left[0]))
        if len(self._left) > 1:
            self._left.pop(0)
            yield run_status(recorded(self._left[0]))

    def cancel(self, run: str) -> None:
        self.cancelled.append(run)


def test_a_run_that_cannot_start_starts_by_itself_or_is_cancelled() -> None:
    backend = _Recorded("unschedulable")
    runner = Runner(backend)  # type: ignore[arg-type]
    run = run_status(recorded("unschedulable")).run
    with pytest.raises(ClusterError) as caught:
        finish(runner, run, show=False, timeout=None, start_timeout=0.01, options=" -n speech")
    assert_hint(
        "It starts by itself once that is fixed; `jobrunner cancel{} {}` ends it.",
        caught.value.hint,
    )
    named = caught.value.hint.split("`")[1].split()
    assert named[:4] == ["jobrunner", "cancel", "-n", "speech"]
    # A node was added meanwhile.
    *_, last = Runner(_Recorded("unschedulable", "succeeded")).watch(run)  # type: ignore[arg-type]
    assert last.state == "Succeeded"
    runner.cancel(named[-1])
    assert backend.cancelled == [run]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that says who asks."""
    certificates(tmp_path)
    made = Server(tmp_path)
    with running(made):
        yield made


def _kubeconfig(server: str, folder: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """Makes a server and a login those of the current context."""
    cluster = {"server": server, "certificate-authority": str(folder / "ca.crt")}
    content = {
        "current-context": "speech",
        "contexts": [{"name": "speech", "context": {"cluster": "speech", "user": "me"}}],
        "clusters": [{"name": "speech", "cluster": cluster}],
        "users": [{"name": "me", "user": {"token": token}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(content))
    monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))


def test_a_login_that_has_expired(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.refused.add("Bearer old")
    _kubeconfig(server.url, tmp_path, monkeypatch, "old")
    with hinted("Log in to the cluster again.", ClusterError):
        Cluster().read("/version")
    _kubeconfig(server.url, tmp_path, monkeypatch, "new")
    assert Cluster().read("/version")["authorization"] == "Bearer new"


def test_the_server_of_another_context(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _kubeconfig("https://127.0.0.1:9", tmp_path, monkeypatch, "new")
    with hinted("Check the kubeconfig's current context and the network.", ClusterError):
        Cluster().read("/version")
    _kubeconfig(server.url, tmp_path, monkeypatch, "new")
    assert Cluster().read("/version")
