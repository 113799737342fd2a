"""What the examples' backends share: they serve a page, sign tokens and publish.

Python's own library and PyJWT, so that it reads as it would in any language: nothing here knows
how the chat server is built. Who somebody is comes from the page here; in an application of your
own it comes from your session.
"""

import base64
import json
import os
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import jwt

HERE = Path(__file__).parent
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
LONGEST_BODY = 10_000  # bytes

DOTENV = HERE.parent / ".env"
LINES = DOTENV.read_text("utf-8").splitlines() if DOTENV.exists() else []
PAIRS = (line.split("=", 1) for line in LINES if "=" in line)
SETTINGS = {**dict(PAIRS), **{name: value for name, value in os.environ.items() if value}}
NEEDED = ("SIGNING_KEY_1_METHOD", "SIGNING_KEY_1_ENCODED", "API_SECRET_KEY_1")
CHAT_URL = SETTINGS.get("CHAT_URL", "http://127.0.0.1:8000")


def token(scope: str, **claims: object) -> dict[str, str]:
    """A signed token that can be used for a minute, as the page receives it."""
    key = base64.b64decode(SETTINGS["SIGNING_KEY_1_ENCODED"])
    payload = {"scope": scope, "exp": time.time() + 60, **claims}
    return {"token": jwt.encode(payload, key, SETTINGS["SIGNING_KEY_1_METHOD"])}


def publish(**message: object) -> None:
    """`POST /publish` (protocol.md section 15); OSError where that fails."""
    headers = {"Authorization": f"Bearer {SETTINGS['API_SECRET_KEY_1']}"}
    body = json.dumps(message).encode()
    urlopen(Request(f"{CHAT_URL}/publish", body, headers), timeout=10).close()  # noqa: S310


def serve(folder: Path, port: int, answers: dict[str, Callable[[Any], object]]) -> None:
    """Serves the folder's page on PORT; a POST to a path of `answers` gets what that returns.

    What an answer finds wrong with the body (ValueError, LookupError, TypeError) is a 400.
    """
    if missing := [name for name in NEEDED if name not in SETTINGS]:
        sys.exit(f"Please run `make setup` first, or set {', '.join(missing)}.")
    files = {f"/{file.name}": file for file in (*HERE.iterdir(), *folder.iterdir())}
    files = {path: file for path, file in files.items() if file.suffix in TYPES}

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds, for whoever says no more

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            file = files.get("/page.html" if path == "/" else path)
            if file is None:
                return self.send_error(404)
            main = files["/main.html"].read_text("utf-8")
            text = file.read_text("utf-8").replace("{{MAIN}}", main)
            self.send(TYPES[file.suffix], text.replace("{{CHAT_URL}}", CHAT_URL))

        def do_POST(self) -> None:
            try:
                body = self.rfile.read(min(int(self.headers["Content-Length"]), LONGEST_BODY))
                answer = answers[self.path](json.loads(body))
            except (ValueError, LookupError, TypeError) as error:
                return self.send_error(400, explain=repr(error))
            except OSError as error:
                return self.send_error(502, explain=f"The chat server failed: {error}")
            self.send("application/json", json.dumps(answer))

        def send(self, content_type: str, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"{content_type}; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Nothing: tokens are nobody's business."""

    port = int(SETTINGS.get("PORT", port))
    print(f"http://127.0.0.1:{port} (chat server: {CHAT_URL})", flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
