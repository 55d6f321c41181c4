"""The portal of AWS's single sign-on: it gives the keys of a role to who has logged in."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.harness.servers.https import running


class _Portal(BaseHTTPRequestHandler):
    """Gives the keys of a role to who has logged in, as AWS's portal does."""

    def do_GET(self) -> None:
        logged_in = self.headers.get("x-amz-sso_bearer_token") == "new"
        role = {
            "accessKeyId": os.environ["TEST_KEY"],
            "secretAccessKey": os.environ["TEST_SECRET"],
            "sessionToken": "",
            "expiration": int(1000 * (time.time() + 3600)),
        }
        body = json.dumps({"roleCredentials": role} if logged_in else {"message": "no"}).encode()
        self.send_response(200 if logged_in else 401)
        self.send_header("x-amzn-ErrorType", "" if logged_in else "UnauthorizedException")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


@contextmanager
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A portal that TEST_KEY and TEST_SECRET come from, and that botocore asks."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Portal)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", f"http://127.0.0.1:{server.server_port}")
    with running(server):
        yield


def log_in(home: Path, token: str, *, hours: int) -> None:
    """Leaves what `aws sso login` leaves: a token in the cache."""
    url = "https://speech.awsapps.com/start"
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    until = datetime.now(UTC) + timedelta(hours=hours)
    expires = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    login = {"startUrl": url, "region": "us-east-1", "accessToken": token, "expiresAt": expires}
    name = hashlib.sha1(url.encode()).hexdigest()
    (cache / f"{name}.json").write_text(json.dumps(login))
    lines = ["[profile sso]", f"sso_start_url = {url}", "sso_region = us-east-1"]
    lines += ["sso_account_id = 123456789012", "sso_role_name = speech", ""]
    (home / ".aws" / "config").write_text("\n".join(lines))
