"""HTTP as the wire tests call and read it."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.described import check_answer, check_call
from tests.support.servers import Server

LIMIT_SECONDS = 30  # for what is waited for: a busy machine fails nothing
NO_TLS = ssl.SSLContext()  # all is plain HTTP; loading certificates would cost each client 20 ms


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: `json` is its body, parsed, and `text` it as it came."""

    status: int
    json: Any
    text: str
    headers: httpx.Headers

    @property
    def code(self) -> str:
        """The code of a refusal, which has the one shape of protocol.md section 14."""
        assert self.json.keys() == {"error"}, self.text
        assert self.json["error"].keys() - {"ack"} == {"code", "message"}, self.text
        code: str = self.json["error"]["code"]
        return code

    @property
    def refusal(self) -> tuple[int, str]:
        return self.status, self.code


def http_client(server: Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=server.url, verify=NO_TLS, trust_env=False, timeout=LIMIT_SECONDS
    )


def answer(response: httpx.Response) -> Answer:
    """Fails where docs/openapi.yaml does not describe it."""
    parsed = json.loads(response.text) if response.text else None
    request = response.request
    path = request.url.raw_path.partition(b"?")[0].decode()
    check_answer(request.method, path, response.status_code, parsed)
    if response.is_success and request.content:
        check_call(request.method, path, json.loads(request.content))
    return Answer(response.status_code, parsed, response.text, response.headers)


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
