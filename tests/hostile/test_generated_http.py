"""Calls that schemathesis makes from docs/openapi.yaml, allowed by it and not: each is answered as
described, and a refused one leaves no row behind. Always the same calls, so that a failure can be
had again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode

from tests.hostile.bad_values import FAR
from tests.hostile.unchanged import Rows, all_rows
from tests.reference.described import DOCS, check_answer, check_call
from tests.servers import Server
from tests.wire.client import Client
from tests.wire.connecting import connect
from tests.wire.grants import STORED

EXAMPLES = 15
SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SCHEMA = schemathesis.openapi.from_path(str(DOCS / "openapi.yaml"))
OPERATIONS: dict[str, APIOperation] = {
    operation.label: operation
    for operation in (found.ok() for found in SCHEMA.get_all_operations())
    if list(operation.body) or list(operation.iter_parameters())
}


@pytest.fixture
async def jim(attacked_uvicorn: Server, channel: str) -> AsyncIterator[Client]:
    """Who may do all in the test's channel."""
    granted = {
        **{"subscribe": True, "historyStart": 0, "getInfo": True},
        "messages": {"*": {**STORED, "scheduleBefore": FAR}},
        "storage": {"*": {"get": True, "set": True, "scheduleBefore": FAR}},
    }
    async with connect(attacked_uvicorn, uid="jim", channels={channel: granted}) as client:
        await client.subscribe(channel)
        yield client
        await client.settle()


class Caller:
    """Makes the calls, and looks at what each leaves behind."""

    def __init__(self, jim: Client, channel: str, http: requests.Session) -> None:
        self.jim = jim
        self.channel = channel
        self.http = http
        self.rows: Rows = all_rows(jim)

    def call(self, case: Case, here: bool) -> None:
        """`here`: in the test's channel, where there is one in the body."""
        if here and isinstance(case.body, dict) and isinstance(case.body.get("channel"), str):
            case.body["channel"] = self.channel
        response = case.call(
            session=self.http, base_url=self.jim.server.url, **self.credentials(case)
        )
        request = response.request
        path = (request.path_url or "").partition("?")[0]
        assert response.status_code != 500
        check_answer(str(request.method), path, response.status_code, _json(response.content))
        if response.status_code < 300:
            if request.body:
                check_call(str(request.method), path, _json(request.body))
            self.rows = all_rows(self.jim)
        else:
            assert all_rows(self.jim) == self.rows

    def credentials(self, case: Case) -> dict[str, Any]:
        if case.operation.path.startswith("/connection/"):
            return {"params": {"connectionId": self.jim.id, "connectionSecret": self.jim.secret}}
        key = self.jim.server.env["API_SECRET_KEY_1"]
        return {"headers": {"Authorization": f"Bearer {key}"}}


def _json(content: bytes | str) -> Any:
    with suppress(ValueError):
        return json.loads(content)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
async def test_generated_calls_are_answered_as_described(
    jim: Client, channel: str, label: str, mode: GenerationMode
) -> None:
    cases = OPERATIONS[label].as_strategy(generation_mode=mode)

    def run() -> None:
        with requests.Session() as http:
            http.trust_env = False
            examples(cases, Caller(jim, channel, http).call)()

    await asyncio.to_thread(run)


def examples(
    cases: st.SearchStrategy[Case], call: Callable[[Case, bool], None]
) -> Callable[[], None]:
    @SETTINGS
    @given(case=cases, here=st.booleans())
    def run(case: Case, here: bool) -> None:
        call(case, here)

    return run
