"""`make audit`: what is known of the locked packages, or that it is not known."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.servers import ROOT

ADVISORY = {
    **{"id": 1, "title": "It breaks", "severity": "high", "vulnerable_versions": "*"},
    **{"url": "https://advisories.example/1", "cwe": [], "cvss": {"score": 0}},
}
KNOWN = {"ws": [ADVISORY]}


@contextmanager
def registry(answer: object) -> Iterator[str]:
    """The address of an npm registry that gives these advisories; None: none."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps(answer).encode()
            self.send_response(405 if answer is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(
    ("uv", "npm", "code", "said"),
    [
        (0, {}, 0, ["uv.lock: no advisory is known.", "package-lock.json: no advisory is known."]),
        (1, {}, 1, ["uv.lock has packages with known advisories:", "uv says so"]),
        (0, KNOWN, 1, ["package-lock.json has packages with known advisories:", "It breaks"]),
        (2, {}, 2, ["uv.lock could not be compared with the advisories: uv says so."]),
        (1, None, 1, ["package-lock.json could not be compared with the advisories: audit"]),
    ],
)
def test_what_is_known_is_told(
    tmp_path: Path, uv: int, npm: object, code: int, said: list[str]
) -> None:
    program = tmp_path / "uv"
    program.write_text(f"#!/bin/sh\n[ $1 = audit ] || exit 0\necho uv says so\nexit {uv}\n")
    program.chmod(0o755)
    with registry(npm) as address:
        env = {
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            **{"npm_config_registry": address, "npm_config_fetch_retries": "0"},
            "npm_config_cache": str(tmp_path / "cache"),
        }
        outcome = subprocess.run(
            [ROOT / "bin/audit"], env=env, capture_output=True, text=True, check=False
        )
    assert outcome.returncode == code, outcome
    for words in said:
        assert words in outcome.stdout + outcome.stderr
