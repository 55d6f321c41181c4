"""Kubeconfigs are read as kubectl reads them."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobrunner.backends.kubernetes.api import kubeconfig
from jobrunner.backends.kubernetes.api.connection import proxy_of
from jobrunner.chart.pod import own_account
from jobrunner.errors import UsageError

Part = Mapping[str, Any]

PEM = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
SERVER = "https://one.example:6443"
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


def config(user: Part | None = None, cluster: Part | None = None) -> dict[str, Any]:
    return {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
        "clusters": [{"name": "one", "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": "me", "user": user or {}}],
    }


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes kubeconfigs into folders of their own and makes them the ones that count."""

    def written(*configs: dict[str, Any]) -> list[Path]:
        paths = []
        for number, each in enumerate(configs):
            path = tmp_path / str(number) / "config"
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml.safe_dump(each))
            paths.append(path)
        monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, paths)))
        return paths

    return written


def test_what_stands_in_an_earlier_file_counts(use: Any) -> None:
    later = config({"token": "later"}, {"tls-server-name": "later"})
    use({"users": [{"name": "me", "user": {"token": "first"}}]}, {**later, "preferences": {}})

    access = kubeconfig.read()

    assert (access.server, access.token, access.server_name) == (SERVER, "first", "later")


def test_a_file_of_the_list_that_is_not_there_is_left_out(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = use(config())
    monkeypatch.setenv("KUBECONFIG", f"/nowhere/config{os.pathsep}{path}")
    assert kubeconfig.read().server == SERVER


@pytest.mark.parametrize("named", ["/nowhere/config", "/nowhere/a:/nowhere/b", "~/config"])
def test_a_list_without_any_file_names_the_first(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", named)
    for ask in (kubeconfig.read, kubeconfig.is_configured):
        with pytest.raises(UsageError) as caught:
            ask()
        first = named.partition(":")[0]
        assert caught.value.message == f"KUBECONFIG: {first}: no such file or directory."


def test_a_folder_as_kubeconfig_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path))
    with pytest.raises(UsageError, match=rf"^KUBECONFIG: {tmp_path}: is a directory\."):
        kubeconfig.read()


def test_the_null_device_as_kubeconfig_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", os.devnull)
    assert not kubeconfig.is_configured()


def test_files_are_looked_for_beside_the_kubeconfig_that_names_them(use: Any) -> None:
    user = {"client-certificate": "me.crt", "client-key": "me.key", "tokenFile": "token"}
    (path,) = use(config(user, {"certificate-authority": "ca.crt"}))
    for name in ("me.crt", "me.key", "ca.crt"):
        (path.parent / name).write_text(name)

    access = kubeconfig.read()

    assert (access.authority, access.certificate, access.key) == ("ca.crt", "me.crt", "me.key")
    assert access.token_file == path.parent / "token"


def test_data_in_the_kubeconfig_wins_over_a_file(use: Any) -> None:
    data = base64.b64encode(PEM.encode()).decode()
    use(config(None, {"certificate-authority-data": data, "certificate-authority": "/nowhere"}))
    assert kubeconfig.read().authority == PEM


def test_options_of_a_cluster_are_taken(use: Any) -> None:
    use(config(None, {"insecure-skip-tls-verify": True, "proxy-url": "http://proxy:1"}))
    access = kubeconfig.read()
    assert (access.verify, access.proxy) == (False, "http://proxy:1")


def test_the_token_of_an_old_auth_provider_is_taken(use: Any) -> None:
    claims = base64.urlsafe_b64encode(b'{"exp": 9999999999}').decode().rstrip("=")
    provider = {"name": "oidc", "config": {"id-token": f"abc.{claims}.def"}}
    use(config({"auth-provider": provider}))
    assert kubeconfig.read().token == f"abc.{claims}.def"


WRONG = {
    "no context": ({"clusters": []}, "it names no current context"),
    "unknown cluster": ({**config(), "clusters": []}, "it has no cluster 'one'"),
    "unknown user": ({**config(), "users": []}, "it has no user 'me'"),
    "no server": ({**config(), "clusters": [{"name": "one"}]}, "'server' is missing"),
    "no base64": (config({"client-key-data": "%"}), "base64"),
    "no file": (config(None, {"certificate-authority": "/nowhere/ca"}), "No such file"),
    "no mapping": ({**config(), "users": "me"}, "attribute"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_kubeconfig_that_cannot_be_used_is_one_line(use: Any, name: str) -> None:
    wrong, told = WRONG[name]
    use(wrong)
    with pytest.raises(UsageError, match=f"^The kubeconfig cannot be used: .*{told}") as error:
        kubeconfig.read()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["a: b: c", "- a", "\xff"])
def test_a_file_that_is_no_kubeconfig_is_one_line(use: Any, text: str) -> None:
    (path,) = use(config())
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"^The kubeconfig cannot be used: .*config is no"):
        kubeconfig.read()


def test_a_pod_finds_its_own_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "ca.crt").write_text(PEM)
    monkeypatch.setattr(kubeconfig, "own_account", lambda: own_account(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    access = kubeconfig.read()

    assert access.server == "https://[fd00::1]:443"
    assert (access.authority, access.token_file) == (PEM, tmp_path / "token")


@pytest.mark.parametrize(
    ("server", "excepted", "proxy"),
    [
        ("https://api.example:6443", "", "http://proxy:3128"),
        ("https://api.example:6443", "other.example", "http://proxy:3128"),
        ("https://api.example:6443", ".example", ""),
        ("https://api.example:6443", "*", ""),
        ("https://10.1.2.3:6443", "10.0.0.0/8, other", ""),
        ("https://11.1.2.3:6443", "10.0.0.0/8, other", "http://proxy:3128"),
        ("https://127.0.0.1:6443", "", ""),
        ("https://localhost:6443", "", ""),
        ("http://api.example", "", ""),
    ],
)
def test_the_environment_names_a_proxy_and_what_needs_none(
    monkeypatch: pytest.MonkeyPatch, server: str, excepted: str, proxy: str
) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert proxy_of(server) == proxy
