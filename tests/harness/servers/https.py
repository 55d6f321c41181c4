"""A server that says who asks, with certificates of its own, and a proxy before it."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAME = "api.example"


def certificates(folder: Path) -> None:
    """Makes ca, server (for NAME and this machine) and user: `.crt` and `.key` of each."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key")
    names = ("-addext", f"subjectAltName=DNS:{NAME},IP:127.0.0.1")
    for name, more in (("ca", ()), ("server", (*signed, *names)), ("user", signed)):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}")
        command = ["openssl", "req", "-x509", *key, *files, *more]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


class _Who(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        subject = dict(pair for (pair,) in (self.connection.getpeercert() or {}).get("subject", ()))
        asked = {
            "user": subject.get("commonName", ""),
            "authorization": self.headers.get("Authorization", ""),
        }
        self.server.asked.append(asked)
        refused = asked["authorization"] in self.server.refused
        body = json.dumps(asked).encode()
        self.send_response(401 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    """Answers with who asked.

    Args:
        folder: of the certificates.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Who)
        self.asked: list[dict[str, str]] = []
        self.refused: set[str] = set()
        """Values of Authorization that get a 401."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        context.load_verify_locations(folder / "ca.crt")
        context.verify_mode = ssl.CERT_OPTIONAL
        self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_port}"


class _Tunnel(BaseHTTPRequestHandler):
    server: Proxy

    def do_CONNECT(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Proxy-Authorization", "")))
        with socket.create_connection(("127.0.0.1", self.server.port)) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_copy, args=(there, self.connection))
            back.start()
            _copy(self.connection, there)
            back.join()

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


class Proxy(ThreadingHTTPServer):
    """An HTTP proxy whose tunnels all end at one server.

    Args:
        server: that one.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.port = server.server_port
        self.asked: list[tuple[str, str]] = []


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[None]:
    """Serves in a thread until the end of the context."""
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
