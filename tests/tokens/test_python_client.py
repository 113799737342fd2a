"""The Python client issues tokens that the server accepts, and refuses keys that it would."""

import inspect
import time

import pytest

from chatsite_client import SigningKey, issue_token, tokens
from tests.support.configuring import Setter
from tests.tokens.material import METHODS, encoded, pair, private_pair, public_pem, rsa_key
from tokens import directives
from tokens.signing import verify

ARGUMENTS = inspect.signature(issue_token).parameters.keys() - {"key", "expires_in", "claims"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("id", ["", "2030"])
def test_each_algorithm(method: str, id: str, set_tokens: Setter) -> None:
    keys = pair(method)
    set_tokens(SIGNING_KEY_1_METHOD=method, SIGNING_KEY_1_ID=id, SIGNING_KEY_1_ENCODED=keys.encoded)
    key = SigningKey(method, keys.private_encoded or keys.encoded, id)
    token = issue_token(key, uid="ada", channels={"c": {"subscribe": True}}, keepAlive=True)
    claims = verify(token, scope="connect", now=time.time())
    assert (claims.uid, claims.keep_alive) == ("ada", True)
    assert claims.exp - time.time() == pytest.approx(300, abs=5)
    assert [entry.pattern.key for entry in claims.channels] == ["c"]


def test_every_claim_of_the_server() -> None:
    assert tokens.CLAIMS | ARGUMENTS | {"exp", "iat"} == directives.CLAIMS.keys()
    assert set(METHODS) == tokens.METHODS


def test_a_claim_that_there_is_not() -> None:
    key = SigningKey("HS256", encoded(b"x" * 32))
    with pytest.raises(TypeError, match="no claim keepalive"):
        issue_token(key, uid="ada", keepalive=True)


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("HS256", encoded(b"x" * 31)),
        ("HS512", encoded(b"x" * 63)),
        ("HS256", encoded(public_pem(rsa_key()))),  # everybody knows it
        ("HS256", "not Base64!"),
        ("RS256", encoded(public_pem(rsa_key()))),
        ("ES256", pair("RS256").private_encoded),
        ("ES256", pair("ES384").private_encoded),
        ("EdDSA", encoded(b"no key at all")),
        ("PS256", private_pair("PS256", rsa_key(1024)).private_encoded),
        ("none", ""),
    ],
)
def test_a_key_that_cannot_sign(method: str, text: str) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        SigningKey(method, text)
    assert not text or text not in str(caught.value)


def test_a_key_does_not_show_its_secret() -> None:
    secret = encoded(b"x" * 32)
    assert secret not in repr(SigningKey("HS256", secret))
