"""Who gets a WebSocket (protocol.md section 6, rule 1)."""

import base64
import json
import time
from typing import Any
from urllib.parse import urlencode

import jwt as pyjwt
import pytest

from tests.support.connecting import Refused, connect, handshake
from tests.support.kinds import answers_handshakes, handshake_status, logs_queries
from tests.support.servers import Server, token


def unsigned(claims: dict[str, Any]) -> str:
    return pyjwt.encode(claims, None, "none")


def resigned(server: Server) -> str:
    """A good token's claims under another key of the same kind."""
    return pyjwt.encode({"exp": time.time() + 300, "scope": "connect"}, "k" * 64, "HS256")


def tampered(server: Server) -> str:
    """A good token whose claims were replaced, its signature kept."""
    header, _, signature = token(server, uid="jim").split(".")
    claims = json.dumps({"exp": time.time() + 300, "scope": "connect", "uid": "pam"}).encode()
    return ".".join((header, base64.urlsafe_b64encode(claims).decode().rstrip("="), signature))


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": time.time() - 1},
    "without exp": {"exp": None},
    "exp is text": {"exp": "2030-01-01"},
    "not yet": {"nbf": time.time() + 3600},
    "without scope": {"scope": None},
    "of another scope": {"scope": "subscribe umd"},
    "of an unknown scope": {"scope": "connect admin"},
    "with connectionId": {"connectionId": "JCnTZd_KoAMCF-A="},
    "single use without jti": {"singleUse": True},
    "uid is a number": {"uid": 7},
    "channels is a list": {"channels": ["c"]},
    "a bad directive": {"channels": {"c": {"subscribe": "yes"}}},
    "a bad pattern": {"channels": {"#regex:(": {"subscribe": True}}},
    "an alias on a pattern": {"channels": {"c*": {"alias": "a"}}},
    "an alias twice": {"channels": {"c": {"alias": "a"}, "d": {"alias": "a"}}},
    "an alias that is a channel": {"channels": {"c": {"alias": "d"}, "d": {}}},
    "autoSubscribe on a pattern": {"channels": {"c*": {"autoSubscribe": True}}},
    "heartbeatTimeout of 4": {"heartbeatTimeout": 4},
    "heartbeatTimeout of 601": {"heartbeatTimeout": 601},
}


BAD_TOKENS = {
    "none": lambda server: "",
    "no token": lambda server: "nonsense",
    "unsigned": lambda server: unsigned({"exp": time.time() + 300, "scope": "connect"}),
    "signed with another key": resigned,
    "tampered with": tampered,
}


REFUSALS = {
    **BAD_TOKENS,
    **{
        name: lambda server, claims=claims: token(server, **claims)
        for name, claims in BAD_CLAIMS.items()
    },
}


@pytest.mark.parametrize("make", REFUSALS.values(), ids=REFUSALS)
async def test_a_bad_token_never_gets_an_accepted_websocket(any_server: Server, make: Any) -> None:
    jwt = make(any_server)
    logged = any_server.log.stat().st_size
    with pytest.raises(Refused) as refused:
        await handshake(f"{any_server.ws_url}?{urlencode({'token': jwt})}")
    assert refused.value.status == handshake_status(any_server, 401)
    if answers_handshakes(any_server):
        assert refused.value.content_type == "application/json"
        error = json.loads(refused.value.body)["error"]
        assert error.keys() == {"code", "message"}
        assert error["code"] == "INVALID_CONNECTION"
    reasons = any_server.log.read_text()[logged:]
    assert "connect token" in reasons
    assert "refused" in reasons
    assert not jwt or jwt not in reasons
    assert jwt.count(".") != 2 or jwt.split(".")[1] not in reasons


async def test_the_reason_is_logged(any_server: Server) -> None:
    with pytest.raises(Refused):
        async with connect(any_server, channels={"lobby": {"subscribe": "yes"}}):
            pass
    assert 'channels["lobby"].subscribe must be true or false, not "yes"' in (
        any_server.log.read_text()
    )


BESIDE_THE_QUERY = {
    "a subprotocol": lambda jwt: {"subprotocols": ["hotsock.v1", f"bearer.{jwt}"]},
    "Authorization": lambda jwt: {"additional_headers": {"Authorization": f"bearer {jwt}"}},
    "both, and the query": lambda jwt: {
        "subprotocols": [f"bearer.{jwt}", "other", "hotsock.v1"],
        "additional_headers": {"Authorization": f"Bearer {jwt}"},
    },
}


@pytest.mark.parametrize("way", BESIDE_THE_QUERY)
async def test_a_token_may_come_beside_the_query(any_server: Server, way: str) -> None:
    """protocol.md section 19; `hotsock.v1` is answered where it is offered, a token never is."""
    jwt = token(any_server, uid="jim")
    options = BESIDE_THE_QUERY[way](jwt)
    query = f"?token={jwt}" if way.endswith("query") else ""
    socket = await handshake(f"{any_server.ws_url}{query}", **options)
    assert json.loads(await socket.recv())["meta"]["uid"] == "jim"
    assert socket.subprotocol == ("hotsock.v1" if "subprotocols" in options else None)
    await socket.close()
    assert jwt.split(".")[1] not in any_server.log.read_text()


async def test_the_subprotocol_is_answered_to_a_token_in_the_query(any_server: Server) -> None:
    url = f"{any_server.ws_url}?token={token(any_server)}"
    basic = {"Authorization": "Basic amltOmppbQ=="}  # another scheme is ignored
    socket = await handshake(url, subprotocols=["hotsock.v1"], additional_headers=basic)
    assert socket.subprotocol == "hotsock.v1"
    await socket.close()


async def test_the_longest_token_may_come_beside_the_query(server: Server) -> None:
    """Its head comes in several reads."""
    jwt = token(server, padding="x" * 47_000)
    assert 60_000 < len(jwt) < 64 * 1024
    for way in ("a subprotocol", "Authorization"):
        socket = await handshake(server.ws_url, **BESIDE_THE_QUERY[way](jwt))
        await socket.close()


async def test_two_different_tokens_are_refused(any_server: Server) -> None:
    one, other = token(any_server, uid="jim"), token(any_server, uid="pam")
    for way in ("a subprotocol", "Authorization"):
        with pytest.raises(Refused) as refused:
            await handshake(f"{any_server.ws_url}?token={one}", **BESIDE_THE_QUERY[way](other))
        assert refused.value.status == handshake_status(any_server, 401)
    assert "refused: token must be one" in any_server.log.read_text()


async def test_no_token_of_an_accepted_connection_is_logged(any_server: Server) -> None:
    jwt = token(any_server, uid="jim")
    async with connect(any_server, jwt=jwt) as client:
        await client.call("listMessages", {"channel": "c"})
        secret = client.secret
    log = any_server.log.read_text()
    assert jwt not in log
    assert jwt.split(".")[1] not in log
    assert secret not in log or logs_queries(any_server)
