"""Programs that provide a user's credentials: `exec` of a kubeconfig.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobrunner.backends.kubernetes.api.kubeconfig import Access, unusable


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A credential from a plugin."""

    token: str = ""
    certificate: str = ""
    key: str = ""
    expires: float | None = None
    """Unix time; None if it is valid as long as this process lasts."""


def ask(access: Access) -> Credential:
    """Runs the plugin of a user, who sees what it writes to stderr.

    Raises:
        UsageError: there is no such program, it failed, or its answer cannot be used.
    """
    command = [_program(access), *map(str, access.plugin.get("args") or ())]
    interactive = _is_interactive(access.plugin)
    given = {each["name"]: str(each["value"]) for each in access.plugin.get("env") or ()}
    environment = {**os.environ, **given, "KUBERNETES_EXEC_INFO": _question(access, interactive)}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        hint = str(access.plugin.get("installHint") or "").strip()
        raise unusable(f"{command[0]}: {error.strerror}. {hint}") from None
    if done.returncode:
        raise unusable(f"{command[0]} ended with exit code {done.returncode}")
    try:
        return _credential(json.loads(done.stdout), access.plugin["apiVersion"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unusable(f"{command[0]} gave no ExecCredential: {error}") from None


def _program(access: Access) -> str:
    """The command; a path is relative to the kubeconfig's folder, a bare name is found on PATH."""
    command = str(access.plugin.get("command") or "")
    if not command:
        raise unusable("`exec` names no command")
    return str(access.folder / command) if os.sep in command else command


def _is_interactive(plugin: dict[str, Any]) -> bool:
    return plugin.get("interactiveMode") != "Never" and sys.stdin is not None and sys.stdin.isatty()


def _question(access: Access, interactive: bool) -> str:
    spec: dict[str, Any] = {"interactive": interactive}
    if access.plugin.get("provideClusterInfo"):
        spec["cluster"] = access.plugin_cluster
    version = access.plugin.get("apiVersion")
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": spec})


def _credential(answer: dict[str, Any], version: str) -> Credential:
    if (answer["kind"], answer["apiVersion"]) != ("ExecCredential", version):
        raise ValueError(f"it is {answer['kind']} of {answer['apiVersion']}")
    status = answer["status"]
    until = status.get("expirationTimestamp")
    found = Credential(
        token=status.get("token") or "",
        certificate=status.get("clientCertificateData") or "",
        key=status.get("clientKeyData") or "",
        expires=datetime.fromisoformat(until).timestamp() if until else None,
    )
    if not found.token and not (found.certificate and found.key):
        raise ValueError("it has neither a token nor a certificate with its key")
    return found
