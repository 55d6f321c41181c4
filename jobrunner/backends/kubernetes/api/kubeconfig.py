"""Access to a cluster: the kubeconfig as kubectl reads it, or the account of this pod.

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig
"""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobrunner.chart.pod import Account, own_account
from jobrunner.errors import UsageError

HINT = "Set KUBECONFIG, or use --local to run on this machine."
SECTIONS = ("clusters", "contexts", "users")


@dataclass(frozen=True, kw_only=True)
class Access:
    """A cluster and one of its users. Certificates and keys are PEM text."""

    server: str
    authority: str = ""
    """Certificate authorities to trust; if empty, the system's."""
    verify: bool = True
    server_name: str = ""
    """Name that the server's certificate must have; if empty, the host's."""
    proxy: str = ""
    """URL of a proxy; if empty, the environment's."""
    certificate: str = ""
    key: str = ""
    token: str = ""
    token_file: Path | None = None
    """File to read the token from again and again, because it changes."""
    username: str = ""
    password: str = ""
    plugin: dict[str, Any] = field(default_factory=dict)
    """The `exec` of a user: a program that provides a token or a certificate."""
    plugin_cluster: dict[str, Any] = field(default_factory=dict)
    """Description of the cluster for a plugin that asks for it."""
    folder: Path = Path()
    """Folder that a relative path of the plugin's command starts from."""


def files() -> list[Path]:
    """The existing kubeconfigs; entries of an earlier one take precedence.

    As for kubectl, some of those that KUBECONFIG names may be missing, but not all.

    Raises:
        UsageError: KUBECONFIG names none that exists. /dev/null stands for none at all.
    """
    given = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    names = given or [str(Path.home() / ".kube" / "config")]
    problems = {name: _problem(name) for name in names}
    found = [Path(name) for name in names if not problems[name] and Path(name).is_file()]
    wrong = [name for name in given if problems[name]]
    if wrong and not found:
        hint = "Correct or unset it, or use --local for this machine."
        raise UsageError(f"KUBECONFIG: {wrong[0]}: {problems[wrong[0]]}.", hint=hint)
    return found


def _problem(name: str) -> str:
    try:
        return "is a directory" if stat.S_ISDIR(os.stat(name).st_mode) else ""
    except (OSError, ValueError) as error:
        return (getattr(error, "strerror", "") or str(error)).lower()


def is_configured() -> bool:
    """True if there is a kubeconfig, or this is a pod with an account.

    Raises:
        UsageError: see `files`.
    """
    return bool(files()) or own_account() is not None


def read() -> Access:
    """Reads the current context of the kubeconfig, or the account of this pod.

    Raises:
        UsageError: there is no kubeconfig, or it cannot be used.
    """
    paths, account = files(), own_account()
    if not paths and account is None:
        raise UsageError("There is no kubeconfig, so no cluster to run on.", hint=HINT)
    try:
        return _of_files(paths) if paths or account is None else _of_pod(account)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise unusable(problem) from None


def unusable(problem: str) -> UsageError:
    """The error for a kubeconfig with a problem."""
    line = " ".join(problem.split()).rstrip(".")[:400]
    return UsageError(f"The kubeconfig cannot be used: {line}.", hint=HINT)


def _of_pod(account: Account) -> Access:
    authority = account.authority.read_text()
    return Access(server=account.server, authority=authority, token_file=account.token)


def _of_files(paths: list[Path]) -> Access:
    current = ""
    found: dict[str, dict[str, tuple[Any, Path]]] = {section: {} for section in SECTIONS}
    for path in paths:
        config = _load(path)
        current = current or config.get("current-context") or ""
        for section in SECTIONS:
            for each in config.get(section) or ():
                value = each.get(section.removesuffix("s")) or {}
                found[section].setdefault(str(each["name"]), (value, path.absolute().parent))
    if not current:
        raise ValueError("it names no current context; `kubectl config use-context NAME` sets it")
    context, _ = _named(found, "contexts", current)
    cluster, cluster_folder = _named(found, "clusters", context["cluster"])
    user, user_folder = {}, cluster_folder
    if context.get("user"):
        user, user_folder = _named(found, "users", context["user"])
    authority = _pem(cluster, "certificate-authority", cluster_folder)
    return Access(
        server=str(cluster["server"]).rstrip("/"),
        authority=authority,
        verify=not cluster.get("insecure-skip-tls-verify", False),
        server_name=cluster.get("tls-server-name") or "",
        proxy=cluster.get("proxy-url") or "",
        plugin_cluster=_described(cluster, authority),
        **_credentials(user, user_folder),
    )


def _load(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.load(path.read_text(), Loader=yaml.CSafeLoader) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not a mapping")
    return found


def _named(found: dict[str, dict[str, tuple[Any, Path]]], section: str, name: str) -> Any:
    if name not in found[section]:
        raise ValueError(f"it has no {section.removesuffix('s')} {name!r}")
    return found[section][name]


def _credentials(user: dict[str, Any], folder: Path) -> dict[str, Any]:
    file = user.get("tokenFile")
    return {
        "certificate": _pem(user, "client-certificate", folder),
        "key": _pem(user, "client-key", folder),
        # A token's file wins over a token, because the file is newer.
        "token": "" if file else str(user.get("token") or _provided(user)),
        "token_file": folder / file if file else None,
        "username": str(user.get("username") or ""),
        "password": str(user.get("password") or ""),
        "plugin": user.get("exec") or {},
        "folder": folder,
    }


def _provided(user: dict[str, Any]) -> str:
    """The token of an `auth-provider`, which only old kubeconfigs have.

    The official client refreshes it. Importing it takes 0.3 s, so it is imported only here.
    """
    if "auth-provider" not in user:
        return ""
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=configuration)
    except config.ConfigException as error:
        raise ValueError(str(error)) from None
    return str(configuration.api_key.get("BearerToken", "")).removeprefix("Bearer ")


def _pem(part: dict[str, Any], name: str, folder: Path) -> str:
    """PEM text from base64 in the kubeconfig, or from a file that it names."""
    if data := part.get(f"{name}-data"):
        return base64.b64decode(data, validate=True).decode()
    file = part.get(name)
    return (folder / file).read_text() if file else ""


def _described(cluster: dict[str, Any], authority: str) -> dict[str, Any]:
    """The description of a cluster that an ExecCredential gives to a plugin."""
    kept = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")
    described = {name: cluster[name] for name in kept if name in cluster}
    if authority:
        described["certificate-authority-data"] = base64.b64encode(authority.encode()).decode()
    for each in cluster.get("extensions") or ():
        if each["name"] == "client.authentication.k8s.io/exec":
            described["config"] = each["extension"]
    return described
