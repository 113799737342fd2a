import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import AsyncClient

from tests.support.configuring import Setter
from tests.tokens.material import pair
from tokens.permissions import grants
from tokens.signing import verify
from tokens.views import MAX_BODY_BYTES

NEW_SESSION = re.compile(r"[A-Za-z0-9_-]{16,64}")
ORIGIN = {"Origin": "https://elsewhere.example"}


async def post(body: Any = None, content_type: str = "application/json", **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await AsyncClient().post("/tokens", raw, content_type=content_type, headers=headers)


def error(response: Any) -> str:
    """The sentence of an error, once its shape is right."""
    body = response.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"code", "message"}
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    sentence: str = body["error"]["message"]
    return sentence


async def test_tokens_of_both_for_one_session() -> None:
    response = await post({"sessionId": "abc_-9"})
    body = response.json()
    assert response.status_code == 200
    assert list(body) == ["sessionId", "channel", "jim", "pam", "token"]
    assert (body["sessionId"], body["channel"]) == ("abc_-9", "chat-abc_-9")
    for person in ("jim", "pam"):
        assert verify(body[person]["token"], scope="connect", now=time.time()).uid == person
    assert body["token"] == body["jim"]["token"]


@pytest.mark.parametrize(("asked", "uid"), [("jim", "jim"), ("pam", "pam"), (None, "jim")])
async def test_token_is_that_of_the_asked_for_uid(asked: str | None, uid: str) -> None:
    body = (await post({"uid": asked})).json()
    assert body["token"] == body[uid]["token"]


async def test_the_claims_of_a_token() -> None:
    before = time.time()
    body = (await post({"sessionId": "s"})).json()
    claims = verify(body["token"], scope="connect", now=before)
    document = json.loads(claims.payload)
    assert before + 299 <= document.pop("exp") <= time.time() + 300
    assert before - 1 <= document.pop("iat") <= time.time()
    assert document == {
        "scope": "connect",
        "uid": "jim",
        "channels": {
            "chat-s": {
                "subscribe": True,
                "historyStart": 0,
                "messages": {
                    "chat": {
                        "publish": True,
                        "echo": True,
                        "store": 86400,
                        "react": ["❤️", "👍", "👎", "😂"],
                    },
                    "hotsock.messageReaction": {"echo": True},
                    "is-typing": {"publish": True},
                },
            }
        },
    }


async def test_a_token_lives_no_longer_than_tokens_may(set_tokens: Setter) -> None:
    set_tokens(TOKEN_MAX_SECONDS=60)
    claims = verify((await post({})).json()["token"], scope="connect", now=time.time())
    assert claims.iat is not None
    assert claims.exp - claims.iat == 60


async def test_a_token_holds_for_its_session_alone() -> None:
    body = (await post({"sessionId": "s"})).json()
    rights = grants(verify(body["token"], scope="connect", now=time.time()))
    assert [rights.channel(name).subscribe for name in ("chat-s", "chat-t", "chat-")] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("session", ["a", "A" * 64, "0-_", "nullx", "Undefined"])
async def test_a_session_id_is_kept(session: str) -> None:
    assert (await post({"sessionId": session})).json()["sessionId"] == session


@pytest.mark.parametrize(
    "session", [None, "", "a" * 65, "a b", "ä", "a/b", "a\n", "undefined", "null", "#s", "*"]
)
async def test_a_new_session_is_made_for_what_is_none(session: str | None) -> None:
    first, second = [(await post({"sessionId": session})).json() for _ in range(2)]
    assert NEW_SESSION.fullmatch(first["sessionId"])
    assert first["sessionId"] not in (session, second["sessionId"])
    assert first["channel"] == f"chat-{first['sessionId']}"


@pytest.mark.parametrize("raw", [b"", b"{}", b' {"future": [1]} '])
@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", "x"]
)
async def test_json_whatever_the_content_type(raw: bytes, content_type: str) -> None:
    response = await post(raw, content_type=content_type)
    assert response.status_code == 200
    assert NEW_SESSION.fullmatch(response.json()["sessionId"])


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"{", "The body is not JSON."),
        (b"sessionId=abc", "The body is not JSON."),
        (b"\xff", "The body is not UTF-8."),
        (b"[]", "The body must be a JSON object."),
        (b"null", "The body must be a JSON object."),
        (b'"jim"', "The body must be a JSON object."),
        (b'{"uid":NaN}', "The body holds NaN, which is not JSON."),
        (b"[" * 2000 + b"]" * 2000, "The body is nested deeper than 100 levels."),
        (b'{"sessionId":1}', "sessionId must be a string."),
        (b'{"sessionId":false}', "sessionId must be a string."),
        (b'{"sessionId":["a"]}', "sessionId must be a string."),
        (b'{"uid":"dwight"}', "uid must be jim or pam."),
        (b'{"uid":""}', "uid must be jim or pam."),
        (b'{"uid":"Jim"}', "uid must be jim or pam."),
        (b'{"uid":1}', "uid must be jim or pam."),
        (b'{"uid":["jim"]}', "uid must be jim or pam."),
        (b'{"uid":{}}', "uid must be jim or pam."),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_bad_requests(raw: bytes, sentence: str) -> None:
    response = await post(raw)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "INVALID_REQUEST"
    assert error(response) == sentence


async def test_a_body_that_is_too_large() -> None:
    filled = b"{}" + b" " * (MAX_BODY_BYTES - 2)
    assert (await post(filled)).status_code == 200
    response = await post(filled + b" ")
    assert response.status_code == 413
    assert error(response) == f"The body must have at most {MAX_BODY_BYTES} bytes."
    assert (await post(b" " * 4_000_000)).status_code == 413


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE"])
async def test_other_methods(method: str) -> None:
    response = await AsyncClient().generic(method, "/tokens", headers=ORIGIN)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    if method != "HEAD":
        assert error(response) == "Use POST."


async def test_without_the_demo_there_are_no_tokens(set_tokens: Setter) -> None:
    set_tokens(DEMO=False)
    response = await post({}, **ORIGIN)
    assert response.status_code == 404
    assert error(response) == "The demo is switched off on this server."
    assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_without_a_key_there_are_none_either(configure: Callable[..., None]) -> None:
    configure()
    response = await post({}, **ORIGIN)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "SERVICE_UNAVAILABLE"
    assert "manage.py check --deploy" in error(response)


@pytest.mark.parametrize("method", ["RS256", "ES512", "EdDSA"])
async def test_an_asymmetric_key_signs_too(method: str, configure: Callable[..., None]) -> None:
    key = pair(method)
    configure(key, ids=("k", ""), private=key.private_encoded)
    token = (await post({"uid": "pam"})).json()["token"]
    assert verify(token, scope="connect", now=time.time()).uid == "pam"


async def test_audience_and_issuer_are_those_that_the_site_expects(set_tokens: Setter) -> None:
    set_tokens(TOKEN_AUDIENCE="chat", TOKEN_ISSUER="us")
    token = (await post({})).json()["token"]
    claims = verify(token, scope="connect", now=time.time())
    assert (claims.aud, claims.iss) == (("chat",), "us")


async def test_preflight() -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    response = await AsyncClient().options("/tokens", headers=ORIGIN | asked)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "content-type" in response.headers["Access-Control-Allow-Headers"].lower()
    assert "POST" in response.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("raw", [b"{}", b"{", b'{"uid":"x"}', b" " * 20_000])
async def test_answers_and_errors_alike_may_be_read_from_any_origin(raw: bytes) -> None:
    response = await post(raw, **ORIGIN)
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in response.headers


async def test_answers_are_not_kept_and_set_no_cookie() -> None:
    response = await post({}, **ORIGIN)
    assert response.headers["Cache-Control"] == "no-store"
    assert not response.cookies


async def test_no_csrf_token_is_needed() -> None:
    client = AsyncClient(enforce_csrf_checks=True)
    response = await client.post("/tokens", b"{}", content_type="text/plain", headers=ORIGIN)
    assert response.status_code == 200
