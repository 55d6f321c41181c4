"""Credentials, certificates and proxies, against a real HTTPS server."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3

from jobrunner.backends.kubernetes.api import connection
from jobrunner.backends.kubernetes.api.connection import Connection
from jobrunner.backends.kubernetes.api.kubeconfig import Access
from jobrunner.errors import UsageError
from tests.harness.servers.https import NAME, Proxy, Server, certificates, running

VERSION = "client.authentication.k8s.io/v1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certificates")
    certificates(made)
    return made


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    made = Server(folder)
    with running(made):
        yield made


@pytest.fixture
def reach(server: Server, folder: Path) -> Any:
    def made(**changes: Any) -> Connection:
        authority = (folder / "ca.crt").read_text()
        return Connection(Access(**{"server": server.url, "authority": authority, **changes}))

    return made


def ask(made: Connection) -> Any:
    response = made.request("GET", "/", retries=False)
    return response.status, json.loads(response.data)


def plugin(folder: Path, *answers: dict[str, Any], version: str = VERSION) -> dict[str, Any]:
    """A program that gives one answer after the other, and the last one again and again."""
    kind = {"kind": "ExecCredential", "apiVersion": version}
    lines = [json.dumps({**kind, "status": each}) for each in answers]
    program = folder / "plugin"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, pathlib\n"
        "folder = pathlib.Path(__file__).parent\n"
        "asked = folder / 'asked'\n"
        "with asked.open('a') as file: file.write(os.environ['KUBERNETES_EXEC_INFO'] + '\\n')\n"
        f"lines = {lines!r}\n"
        "print(lines[min(len(asked.read_text().splitlines()), len(lines)) - 1])\n"
    )
    program.chmod(0o755)
    return {"command": "./plugin", "apiVersion": VERSION, "interactiveMode": "Never"}


def questions(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "asked").read_text().splitlines()]


KEY_PAIR = {"certificate": "crt", "key": "key"}


def test_a_certificate_in_the_kubeconfig_says_who_asks(reach: Any, folder: Path) -> None:
    pair = {name: (folder / f"user.{file}").read_text() for name, file in KEY_PAIR.items()}
    assert ask(reach(**pair)) == (200, {"user": "user", "authorization": ""})


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "me", "password": "secret"}, "Basic bWU6c2VjcmV0"),
        ({}, ""),
    ],
)
def test_tokens_and_passwords_are_sent(reach: Any, given: dict[str, str], header: str) -> None:
    assert ask(reach(**given))[1]["authorization"] == header


def test_a_request_is_logged_with_its_time_and_without_its_token(
    reach: Any, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, connection.__name__):
        ask(reach(token="secret"))
    (line,) = caplog.messages
    assert re.fullmatch(rf"GET {re.escape(server.url)}/: 200, \d+ ms", line)


def test_a_token_in_a_file_is_read_again(
    reach: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "TOKEN_SECONDS", 0.0)
    file = tmp_path / "token"
    made = reach(token_file=file)
    for token in ("one", "two"):
        file.write_text(f"{token}\n")
        assert ask(made)[1]["authorization"] == f"Bearer {token}"


def test_a_plugin_is_asked_once_while_its_token_lasts(reach: Any, tmp_path: Path) -> None:
    made = reach(plugin=plugin(tmp_path, {"token": "one"}, {"token": "two"}), folder=tmp_path)
    assert [ask(made)[1]["authorization"] for _ in range(3)] == ["Bearer one"] * 3
    (question,) = questions(tmp_path)
    assert question == {
        "apiVersion": VERSION,
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }


def test_a_plugin_is_asked_again_before_its_token_ends(reach: Any, tmp_path: Path) -> None:
    soon = datetime.fromtimestamp(time.time() + 5, UTC).isoformat()
    short = {"token": "one", "expirationTimestamp": soon}
    made = reach(plugin=plugin(tmp_path, short, {"token": "two"}), folder=tmp_path)
    assert [ask(made)[1]["authorization"] for _ in range(3)] == ["Bearer one", *["Bearer two"] * 2]


def test_a_plugin_is_asked_again_when_its_token_is_refused(
    reach: Any, server: Server, tmp_path: Path
) -> None:
    made = reach(plugin=plugin(tmp_path, {"token": "one"}, {"token": "two"}), folder=tmp_path)
    server.refused.add("Bearer one")
    assert ask(made)[0] == 200
    server.refused.add("Bearer two")
    assert ask(made)[0] == 401
    assert len(server.asked) == 4


def test_a_plugin_may_give_a_certificate(reach: Any, folder: Path, tmp_path: Path) -> None:
    given = {
        "clientCertificateData": (folder / "user.crt").read_text(),
        "clientKeyData": (folder / "user.key").read_text(),
    }
    told = {"server": "https://one", "config": {"audience": "x"}}
    program = {**plugin(tmp_path, given), "provideClusterInfo": True}
    made = reach(plugin=program, folder=tmp_path, plugin_cluster=told)
    assert ask(made)[1]["user"] == "user"
    assert questions(tmp_path)[0]["spec"]["cluster"] == told


def test_a_plugin_that_is_not_there_says_how_to_install_it(reach: Any) -> None:
    wanted = {"command": "no-such-plugin", "apiVersion": VERSION, "installHint": "apt install it"}
    with pytest.raises(UsageError, match=r"no-such-plugin: No such file.*apt install it\."):
        ask(reach(plugin=wanted))


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ({"command": "false"}, "false ended with exit code 1"),
        ({"command": "echo", "args": ["hello"]}, "echo gave no ExecCredential"),
        (
            {"command": "echo", "args": ['{"kind": "ExecCredential"}']},
            "echo gave no ExecCredential",
        ),
        ({}, "names no command"),
    ],
)
def test_a_plugin_that_fails_is_one_line(reach: Any, program: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told) as error:
        ask(reach(plugin={"apiVersion": VERSION, **program}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("version", ["client.authentication.k8s.io/v1beta1", ""])
def test_an_answer_of_another_version_is_refused(reach: Any, tmp_path: Path, version: str) -> None:
    given = plugin(tmp_path, {"token": "one"}, version=version)
    with pytest.raises(UsageError, match="gave no ExecCredential"):
        ask(reach(plugin=given, folder=tmp_path))


def test_a_server_of_another_authority_is_not_believed(reach: Any, folder: Path) -> None:
    with pytest.raises(urllib3.exceptions.SSLError, match="certificate verify failed"):
        ask(reach(authority=(folder / "user.crt").read_text()))


def test_verification_can_be_left_out(reach: Any) -> None:
    assert ask(reach(authority="", verify=False))[0] == 200


def test_a_server_must_have_the_name_that_the_kubeconfig_says(reach: Any) -> None:
    assert ask(reach(server_name=NAME))[0] == 200
    with pytest.raises(urllib3.exceptions.SSLError, match=r"other\.example"):
        ask(reach(server_name="other.example"))


@pytest.mark.parametrize(
    "broken", [{"authority": "x"}, {"certificate": "x"}, {"proxy": "socks5://x"}]
)
def test_what_cannot_be_used_is_one_line(reach: Any, broken: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"^The kubeconfig cannot be used: ") as error:
        ask(reach(**broken))
    assert "\n" not in str(error.value)


def test_a_proxy_of_the_kubeconfig_is_used(reach: Any, server: Server) -> None:
    proxy = Proxy(server)
    with running(proxy):
        url = f"http://me:secret@127.0.0.1:{proxy.server_port}"
        assert ask(reach(proxy=url, token="abc"))[1]["authorization"] == "Bearer abc"
    assert proxy.asked == [(server.url.removeprefix("https://"), "Basic bWU6c2VjcmV0")]
