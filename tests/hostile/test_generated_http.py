"""Calls made from docs/openapi.yaml, allowed by it and not: each is answered as described, and a
refused one leaves no row behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import requests
from schemathesis import Case, GenerationMode

from tests.hostile.bad_values import FAR
from tests.hostile.generating import aim, calls, examples
from tests.hostile.unchanged import all_rows
from tests.support.client import Client
from tests.support.connecting import subscribed
from tests.support.described import check_answer, check_call
from tests.support.grants import STORED
from tests.support.servers import Server

OPERATIONS = calls()


@pytest.fixture
async def jim(attacked_uvicorn: Server, channel: str) -> AsyncIterator[Client]:
    """Who may do all in the test's channel."""
    granted = {
        **{"subscribe": True, "historyStart": 0, "getInfo": True},
        "messages": {"*": {**STORED, "scheduleBefore": FAR}},
        "storage": {"*": {"get": True, "set": True, "scheduleBefore": FAR}},
    }
    async with subscribed(
        attacked_uvicorn, channel, uid="jim", channels={channel: granted}
    ) as client:
        yield client
        await client.settle()


class Caller:
    """Makes the calls, and looks at what each leaves behind."""

    def __init__(self, jim: Client, channel: str, http: requests.Session) -> None:
        self.jim = jim
        self.channel = channel
        self.http = http
        self.rows = all_rows(jim)

    def call(self, case: Case, here: bool) -> None:
        if here:
            aim(case, self.channel)
        credentials = self.credentials(case)
        response = case.call(session=self.http, base_url=self.jim.server.url, **credentials)
        request = response.request
        method, path = str(request.method), (request.path_url or "").partition("?")[0]
        check_answer(method, path, response.status_code, _json(response.content))
        if response.status_code >= 300:
            assert all_rows(self.jim) == self.rows
            return
        if request.body:
            check_call(method, path, _json(request.body))
        self.rows = all_rows(self.jim)

    def credentials(self, case: Case) -> dict[str, Any]:
        if case.operation.path.startswith("/connection/"):
            return {"params": {"connectionId": self.jim.id, "connectionSecret": self.jim.secret}}
        key = self.jim.server.env["API_SECRET_KEY_1"]
        return {"headers": {"Authorization": f"Bearer {key}"}}


def _json(content: bytes | str) -> Any:
    with suppress(ValueError):
        return json.loads(content)


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("name", OPERATIONS)
async def test_generated_calls_are_answered_as_described(
    jim: Client, channel: str, name: str, mode: GenerationMode
) -> None:
    def run() -> None:
        with requests.Session() as http:
            http.trust_env = False
            examples(OPERATIONS[name], mode, Caller(jim, channel, http).call)

    await asyncio.to_thread(run)
