"""What a pod finds about its own cluster, and that nothing else takes itself for a pod."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobrunner.chart.pod import Account, own_account

HOST, PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An account as the kubelet mounts it."""
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----")
    monkeypatch.setenv(HOST, "10.0.0.1")
    monkeypatch.setenv(PORT, "443")
    return tmp_path


def test_a_pod_knows_the_api_server_its_token_and_the_authority(folder: Path) -> None:
    assert own_account(folder) == Account(
        server="https://10.0.0.1:443", token=folder / "token", authority=folder / "ca.crt"
    )


def test_an_address_of_ipv6_stands_in_brackets(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOST, "fd00::1")
    found = own_account(folder)
    assert found is not None
    assert found.server == "https://[fd00::1]:443"


@pytest.mark.parametrize("missing", [HOST, PORT])
@pytest.mark.parametrize("empty", [True, False])
def test_without_the_variables_of_a_pod_there_is_no_account(
    folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str, empty: bool
) -> None:
    if empty:
        monkeypatch.setenv(missing, "")
    else:
        monkeypatch.delenv(missing)
    assert own_account(folder) is None


def test_a_pod_that_got_no_token_has_no_account(folder: Path) -> None:
    (folder / "token").unlink()
    assert own_account(folder) is None
