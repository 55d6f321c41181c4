"""An HTTP proxy in front of a real S3 server that fails in ways a test chooses."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass(frozen=True)
class Request:
    """One request as the client sent it."""

    method: str
    path: str
    head: bytes
    body: bytes

    def has(self, text: str) -> bool:
        """True when a header holds the text."""
        return text.lower() in self.head.decode("latin-1").lower()


@dataclass(frozen=True)
class Fault:
    """The fate of a request. All parts that are given happen."""

    delay: float = 0.0
    """Seconds before anything else."""
    status: int = 0
    """Answers so, with `body`, and does not forward."""
    body: bytes = b""
    reset: str = ""
    """`before` the server sees the request, or `after` it has answered."""
    cut: int = -1
    """Sends this number of bytes of the answer's body, then closes."""


GOOD = Fault()


@dataclass
class Proxy:
    """Listens on a free port; `choose` decides what becomes of each request."""

    upstream: tuple[str, int]
    host: str = "127.0.0.1"
    port: int = 0
    choose: Callable[[Request], Fault] = lambda request: GOOD
    requests: list[Request] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self.port}"

    def serve(self, client: socket.socket) -> None:
        """Answers the requests of one connection."""
        with client, suppress(OSError), client.makefile("rb") as stream:
            while request := _request(client, stream):
                self.requests.append(request)
                if not self._answer(client, request, self.choose(request)):
                    break

    def _answer(self, client: socket.socket, request: Request, fault: Fault) -> bool:
        time.sleep(fault.delay)
        if fault.status:
            body = b"" if request.method == "HEAD" else fault.body
            client.sendall(_head(fault.status, len(fault.body)) + body)
            return True
        if fault.reset == "before":
            return _reset(client)
        head, body = self._forward(request)
        if fault.reset == "after":
            return _reset(client)
        if fault.cut >= 0:
            client.sendall(head + body[: fault.cut])
            return False
        client.sendall(head + body)
        return True

    def _forward(self, request: Request) -> tuple[bytes, bytes]:
        """Head and body of the server's answer."""
        with socket.create_connection(self.upstream) as server:
            server.sendall(request.head + request.body)
            answer = http.client.HTTPResponse(server, method=request.method)
            answer.begin()
            body = answer.read()
            lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
            lines += [f"{name}: {value}" for name, value in answer.getheaders()]
            if answer.chunked:
                lines = [line for line in lines if "chunked" not in line]
                lines.append(f"Content-Length: {len(body)}")
            return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), body


@contextmanager
def proxied(host: str, port: int, listen: str = "127.0.0.1") -> Iterator[Proxy]:
    """A proxy in front of a server until the block ends."""
    with socket.create_server((listen, 0)) as listener:
        proxy = Proxy((host, port), listen, listener.getsockname()[1])

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=proxy.serve, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _request(client: socket.socket, stream: BinaryIO) -> Request | None:
    lines: list[bytes] = []
    while (line := stream.readline()) != b"\r\n":
        if not line:
            return None
        lines.append(line)
    method, path, _ = lines[0].decode("latin-1").split(" ", 2)
    headers = {}
    for text in lines[1:]:
        name, _, value = text.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if "expect" in headers:
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    kept = [text for text in lines if not text.lower().startswith(b"expect:")]
    body = stream.read(int(headers.get("content-length", 0)))
    return Request(method, path, b"".join(kept) + b"\r\n", body)


def _head(status: int, length: int) -> bytes:
    reason = http.client.responses.get(status, "Unknown")
    kind = "Content-Type: application/xml"
    return f"HTTP/1.1 {status} {reason}\r\n{kind}\r\nContent-Length: {length}\r\n\r\n".encode()


def _reset(client: socket.socket) -> bool:
    # Closing with a linger time of zero sends RST instead of FIN.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    return False
