import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.support.configuring import Setter
from tests.tokens.material import METHODS, pair
from tokens.api import issue
from tokens.claims import Claims, TokenError
from tokens.signing import verify

Configure = Callable[..., None]


def issued(claims: dict[str, Any], scope: str = "connect", **options: Any) -> Claims:
    return verify(issue(claims, **options), scope=scope, now=time.time())


def refusal(claims: dict[str, Any]) -> str:
    with pytest.raises(TokenError) as caught:
        issue(claims)
    return str(caught.value)


@pytest.mark.parametrize("scope", ["connect", "subscribe", "umd", "subscribe umd"])
def test_what_is_issued_is_accepted(scope: str) -> None:
    claims = issued({"scope": scope, "uid": "jim", "umd": {"é": 1}}, scope.split()[0])
    assert (claims.uid, claims.umd) == ("jim", '{"é":1}')


def test_what_would_be_too_large_is_not_issued() -> None:
    many = {f"c{number}": {} for number in range(2001)}
    said = refusal({"scope": "connect", "channels": many})
    assert said == "channels makes more than 2000 names in all"
    assert refusal({"scope": "connect", "umd": 10**1000}).startswith("payload holds a number of")


@pytest.mark.parametrize("method", METHODS)
def test_with_each_algorithm(method: str, configure: Configure) -> None:
    key = pair(method)
    configure(key, private=key.private_encoded)
    assert issued({"scope": "connect", "uid": method}).uid == method


def test_exp_and_iat_are_filled_in() -> None:
    before = int(time.time())
    claims, longer = issued({"scope": "connect"}), issued({"scope": "connect"}, lifetime=3600)
    after = time.time()
    assert claims.iat is not None
    assert before <= claims.iat <= after
    assert claims.exp == claims.iat + 300
    assert before + 3600 <= longer.exp <= after + 3600


def test_what_is_stated_stays() -> None:
    now = int(time.time())
    claims = issued({"scope": "connect", "exp": now + 9.5, "iat": 5, "jti": None})
    assert (claims.exp, claims.iat, claims.jti) == (now + 9.5, 5, None)
    filled = issued({"scope": "connect", "exp": None, "iat": None})
    assert filled.exp > now


def test_audience_and_issuer_are_filled_in(set_tokens: Setter) -> None:
    set_tokens(TOKEN_AUDIENCE="chat", TOKEN_ISSUER="us")
    claims = issued({"scope": "connect"})
    assert (claims.aud, claims.iss) == (("chat",), "us")
    assert issued({"scope": "connect", "aud": ["x", "chat"]}).aud == ("x", "chat")


def test_another_audience_or_issuer_is_refused(set_tokens: Setter) -> None:
    set_tokens(TOKEN_AUDIENCE="chat", TOKEN_ISSUER="us")
    assert refusal({"scope": "connect", "aud": "x"}) == 'aud must be or list "chat"'
    assert refusal({"scope": "connect", "iss": "x"}) == 'iss must be "us"'


def test_what_would_live_too_long_is_not_issued(set_tokens: Setter) -> None:
    set_tokens(TOKEN_MAX_SECONDS=200)
    assert refusal({"scope": "connect"}) == "exp must be at most 200 s after iat, not 300.000"
    assert issued({"scope": "connect"}, lifetime=200).uid is None


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({}, "scope is required"),
        ({"scope": ""}, 'scope must include "connect"'),
        ({"scope": ["connect"]}, "scope must be some of"),
        ({"scope": "connect admin"}, "scope must be some of"),
        ({"scope": "connect", "uid": "x" * 129}, "uid must be a string of at most 128 characters"),
        ({"scope": "connect subscribe", "connectionId": "c"}, "connectionId must be absent"),
        ({"scope": "subscribe", "singleUse": True}, "jti is required"),
        ({"scope": "connect", "channels": {"#regex:(": {}}}, 'channels["#regex:("] must compile'),
        ({"scope": "connect", "umd": float("nan")}, "payload must be JSON"),
        ({"scope": "connect", "umd": object()}, "payload must be JSON"),
        ({"scope": "connect", "uid": "\ud800"}, "payload must be JSON"),
        ({"scope": "connect", "uid": "\x00"}, "payload holds NUL"),
        ({"scope": "connect", "pad": "x" * 65536}, "token must have at most 65536 bytes, not "),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_what_the_server_would_refuse_is_not_signed(claims: dict[str, Any], sentence: str) -> None:
    assert refusal(claims).startswith(sentence)


def test_the_callers_claims_are_left_alone() -> None:
    claims: dict[str, Any] = {"scope": "connect", "channels": {"c": {"subscribe": True}}}
    before = json.dumps(claims)
    issue(claims)
    assert json.dumps(claims) == before


def test_without_a_key_nothing_is_issued(configure: Configure) -> None:
    configure()
    with pytest.raises(ImproperlyConfigured, match="make setup"):
        issue({"scope": "connect"})
