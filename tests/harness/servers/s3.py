"""A real S3 server (versitygw) on a free port of this machine, from the test cluster's binaries."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness.paths import CLUSTER

KEY, SECRET = "storage-tests", "canary-secret-4f1c9b27"


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where an S3 server listens, and who may use it."""

    host: str
    port: int
    key: str
    secret: str
    scheme: str = "http"

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


def binary() -> Path | None:
    """The server's binary; None where `cluster build` was never run."""
    folder = subprocess.run([CLUSTER, "bin"], capture_output=True, text=True, check=True).stdout
    found = Path(folder.strip()) / "versitygw"
    return found if found.exists() else None


@contextmanager
def started(
    program: Path, folder: Path, *, tls: tuple[Path, Path] | None = None
) -> Iterator[Server]:
    """Runs a server over a folder until the block ends.

    Args:
        program: the server's binary.
        folder: has a folder for each bucket.
        tls: certificate and key of a server that speaks HTTPS.
    """
    secured = ["--cert", str(tls[0]), "--key", str(tls[1])] if tls else []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(
        host="127.0.0.1", port=port, key=KEY, secret=SECRET, scheme="https" if tls else "http"
    )
    process = subprocess.Popen(
        [program, "--port", f"{server.host}:{server.port}", *secured, "posix", folder],
        env={**os.environ, "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while not _listens(server):
            assert process.poll() is None, "the S3 server ended at once"
            assert time.monotonic() < deadline, "the S3 server does not listen"
            time.sleep(0.05)
        yield server
    finally:
        process.kill()
        process.wait()


def _listens(server: Server) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((server.host, server.port)) == 0
