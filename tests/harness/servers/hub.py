"""A model hub of a folder: the endpoints that huggingface_hub calls to list and fetch files.

<root>/datasets/google/fleurs/…    a data set, one revision
<root>/models/openai/…             models
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_INFO = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/revision/([^/]+))?")
_FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer(ThreadingHTTPServer):
    """Serves the repositories below `root`."""

    def __init__(self, root: Path, revisions: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.revisions = revisions
        """Repository → the revision it has."""
        self.fetched: list[str] = []
        """Files that were downloaded, in order."""
        self.closed: dict[str, tuple[str, str]] = {}
        """Repository → the token that opens it, and the error without it."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(root: Path, revisions: dict[str, str]) -> Iterator[HubServer]:
    """A hub on a free port of this machine."""
    with HubServer(root, revisions) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        info, file = _INFO.fullmatch(path), _FILE.fullmatch(path)
        if info:
            self._list(f"{info[1]}/{info[2]}", unquote(info[3] or "main"))
        elif file:
            kind = "datasets" if file[1] else "models"
            self._file(f"{kind}/{file[2]}", unquote(file[3]), unquote(file[4]))
        else:
            self._fail("EntryNotFound")

    def _list(self, repo: str, revision: str) -> None:
        place = self._repository(repo, revision)
        if place is not None:
            files = sorted(path for path in place.rglob("*") if path.is_file())
            names = [{"rfilename": path.relative_to(place).as_posix()} for path in files]
            info = {"id": repo.partition("/")[2], "sha": COMMIT, "siblings": names}
            self._send(json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _file(self, repo: str, revision: str, name: str) -> None:
        place = self._repository(repo, revision)
        if place is None:
            return
        if not (place / name).is_file():
            self._fail("EntryNotFound")
            return
        data = (place / name).read_bytes()
        if self.command == "GET":
            self.server.fetched.append(name)
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        self._send(data, {"ETag": etag, "X-Repo-Commit": COMMIT})

    def _repository(self, repo: str, revision: str) -> Path | None:
        place = self.server.root / repo
        token, error = self.server.closed.get(repo, ("", ""))
        if token and self.headers.get("Authorization") != f"Bearer {token}":
            self._fail(error)
        elif not place.is_dir():
            self._fail("RepoNotFound")
        elif revision not in {self.server.revisions.get(repo, "main"), COMMIT}:
            self._fail("RevisionNotFound")
        else:
            return place
        return None

    def _fail(self, code: str) -> None:
        self._send(b"", {"X-Error-Code": code}, status=404)

    def _send(self, data: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)
