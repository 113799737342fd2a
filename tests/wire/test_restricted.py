"""A server whose settings keep some out: by origin, by number (protocol.md sections 1 and 6)."""

from collections.abc import Iterator

import pytest

from tests.support.calls import http_client
from tests.support.client import Client, eventually
from tests.support.connecting import Refused, handshake, open_client
from tests.support.servers import Server, start_server, token

ALLOWED, OTHER = "https://app.example", "https://other.example"


@pytest.fixture(scope="module")
def restricted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"ALLOWED_ORIGINS": ALLOWED, "CONNECTIONS_PER_ADDRESS": "3"}
    with start_server("uvicorn", tmp_path_factory.mktemp("restricted"), **settings) as server:
        yield server


@pytest.mark.parametrize(("origin", "told"), [(ALLOWED, ALLOWED), (OTHER, None)])
@pytest.mark.parametrize("body", [b"{}", b" " * 2_000_000], ids=["answered", "cut off"])
async def test_which_origins_may_read_can_be_named(
    restricted: Server, body: bytes, origin: str, told: str | None
) -> None:
    async with http_client(restricted) as http:
        answered = await http.post("/tokens", content=body, headers={"Origin": origin})
    assert answered.headers.get("access-control-allow-origin") == told


async def test_which_origins_may_connect_can_be_named(restricted: Server) -> None:
    url = f"{restricted.ws_url}?token={token(restricted)}"
    await (await handshake(url, origin=ALLOWED)).close()
    await (await handshake(url)).close()  # programs send no origin
    with pytest.raises(Refused) as refused:
        await handshake(url, origin=OTHER)
    assert refused.value.status == 403
    assert b"origin" in refused.value.body


async def test_more_connections_than_allowed_are_refused(restricted: Server) -> None:
    """In the handshake, until one of the others has ended."""
    jwt = token(restricted)

    async def opened() -> list[Client]:
        try:
            return [await open_client(restricted, jwt)]
        except Refused:
            return []

    clients = [await eventually(opened) for _ in range(3)]
    with pytest.raises(Refused) as refused:
        await open_client(restricted, jwt)
    assert refused.value.status == 429
    assert b'"RATE_LIMITED"' in refused.value.body
    [client] = clients.pop()
    await client.aclose()
    clients.append(await eventually(opened))
    for [client] in clients:
        await client.nothing()
        await client.aclose()
