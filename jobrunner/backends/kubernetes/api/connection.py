"""Requests to an API server: TLS, proxies and credentials, over urllib3's pool of connections."""

from __future__ import annotations

import base64
import ipaddress
import logging
import ssl
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import urllib3

from jobrunner.backends.kubernetes.api import plugin
from jobrunner.backends.kubernetes.api.kubeconfig import Access, unusable

logger = logging.getLogger(__name__)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Connections to keep open; more are made when needed.
KEPT = 16
# Seconds after which a token's file is read again, and seconds before its expiry at which a
# credential is renewed.
TOKEN_SECONDS, AHEAD = 60.0, 30.0


class Connection:
    """Connections to one API server; threads may share them.

    Args:
        access: the server and the user.

    Raises:
        UsageError: certificates, the proxy or the plugin cannot be used.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._credential: plugin.Credential | None = None
        self._pool: urllib3.PoolManager | None = None
        self._token, self._token_read = access.token, float("-inf")

    def request(self, method: str, where: str, **options: Any) -> Any:
        """Sends a request and returns urllib3's response, unread, whatever its status.

        A plugin's credential that the server refuses is renewed once.

        Raises:
            UsageError: the plugin fails, or the token's file cannot be read.
            urllib3.exceptions.HTTPError, OSError: there is no answer.
        """
        response, used = self._send(method, where, options)
        if response.status == 401 and used is not None:
            response.drain_conn()
            with self._lock:
                if self._credential is used:
                    self._credential = None
            response, _ = self._send(method, where, options)
        return response

    def _send(
        self, method: str, where: str, options: dict[str, Any]
    ) -> tuple[Any, plugin.Credential | None]:
        with self._lock:
            self._renew()
            pool, credential, headers = self._pool, self._credential, self._authorization()
        assert pool is not None
        headers.update(options.get("headers", {}))
        url = self._access.server + where
        sent = {**options, "headers": headers, "preload_content": False}
        begun, outcome = time.monotonic(), "no answer"
        try:
            response = pool.request(method, url, **sent)
            outcome = str(response.status)
        finally:
            seconds = time.monotonic() - begun
            logger.debug("%s %s: %s, %.0f ms", method, url, outcome, 1000 * seconds)
        return response, credential

    def _renew(self) -> None:
        """Runs the plugin, if there is one and its credential has expired; connects if needed."""
        current = self._credential
        if self._uses_plugin() and (current is None or _is_used_up(current)):
            asked = plugin.ask(self._access)
            kept = current and (current.certificate, current.key)
            if (asked.certificate, asked.key) != kept:
                self._pool = None
            self._credential = asked
        if self._pool is None:
            self._pool = self._connect()

    def _uses_plugin(self) -> bool:
        access = self._access
        return bool(access.plugin) and not (access.token or access.token_file or access.username)

    def _authorization(self) -> dict[str, str]:
        access = self._access
        if access.token_file and time.monotonic() - self._token_read > TOKEN_SECONDS:
            try:
                self._token = access.token_file.read_text().strip()
            except OSError as error:
                raise unusable(f"{access.token_file}: {error.strerror}") from None
            self._token_read = time.monotonic()
        token = self._token or (self._credential.token if self._credential else "")
        if token:
            return {"Authorization": f"Bearer {token}"}
        if access.username:
            both = base64.b64encode(f"{access.username}:{access.password}".encode()).decode()
            return {"Authorization": f"Basic {both}"}
        return {}

    def _connect(self) -> urllib3.PoolManager:
        access, given = self._access, self._credential
        certificate, key = access.certificate, access.key
        if given is not None and given.certificate:
            certificate, key = given.certificate, given.key
        options: dict[str, Any] = {"maxsize": KEPT}
        try:
            if access.server.startswith("https:"):
                options["ssl_context"] = _context(access, certificate, key)
            if access.server_name:
                options["server_hostname"] = access.server_name
            proxy = access.proxy or proxy_of(access.server)
            if not proxy:
                return urllib3.PoolManager(**options)
            parts = urllib3.util.parse_url(proxy)
            headers = urllib3.util.make_headers(proxy_basic_auth=parts.auth) if parts.auth else None
            return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
        except (ssl.SSLError, ValueError, urllib3.exceptions.HTTPError) as error:
            raise unusable(f"{type(error).__name__}: {error}") from None


def _is_used_up(credential: plugin.Credential) -> bool:
    return credential.expires is not None and credential.expires < time.time() + AHEAD


def proxy_of(server: str) -> str:
    """URL of the proxy that the environment names for a server; empty if there is none.

    NO_PROXY may contain networks such as 10.0.0.0/8, as in Kubernetes' own tools. A server on this
    machine has no proxy.
    """
    parts, proxies = urlsplit(server), getproxies_environment()
    host, proxy = parts.hostname or "", proxies.get(parts.scheme, "")
    if not proxy or proxy_bypass(host):
        return ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        direct = host == "localhost"
    else:
        excepted = proxies.get("no", "").split(",")
        direct = address.is_loopback or any(_is_in(address, each.strip()) for each in excepted)
    if direct:
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_in(address: Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _context(access: Access, certificate: str, key: str) -> ssl.SSLContext:
    """The TLS context. OpenSSL reads a certificate and its key from files only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not access.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        # The kubeconfig asks for this; a warning on each request would add nothing.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    elif access.authority:
        context.load_verify_locations(cadata=access.authority)
    else:
        context.load_default_certs()
    if certificate:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "user.pem"
            file.touch(mode=0o600)
            file.write_text(f"{certificate}\n{key}\n")
            context.load_cert_chain(file)
    return context
