import hashlib
import secrets
from base64 import b64encode
from collections.abc import Callable

import pytest
from django.core.checks import run_checks
from hypothesis import given, strategies
from pytest_django import Settings

from tests.support.configuring import Setter
from tests.tokens.material import (
    HMAC_BYTES,
    METHODS,
    Pair,
    encoded,
    hmac_pair,
    pair,
    private_pair,
    public_pem,
    rsa_key,
)
from tokens.checks import key_problems
from tokens.keys import is_guessable

Configure = Callable[..., None]
MADE_BY_SETUP = "Run `make setup` for development keys, or set it in the environment."


def checked(deploy: bool = False) -> list[str]:
    messages = run_checks(tags=["security"], include_deployment_checks=deploy)
    return [f"{found.id} {found.msg}" for found in messages if str(found.id).startswith("tokens.")]


def test_good_keys_have_no_problems(set_tokens: Setter) -> None:
    set_tokens(DEMO=False, TOKEN_ISSUER="us")
    assert key_problems() == []
    assert checked(deploy=True) == []


@pytest.mark.parametrize("method", METHODS)
def test_nor_have_good_keys_of_any_method(method: str, configure: Configure) -> None:
    key = pair(method)
    configure(key, key, ids=("a", "b"), private=key.private_encoded)
    assert key_problems() == []


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (["SECRET_KEY"], "SECRET_KEY is empty."),
        (
            ["SIGNING_KEY_1_METHOD", "SIGNING_KEY_1_ENCODED"],
            "SIGNING_KEY_1_METHOD and SIGNING_KEY_1_ENCODED are empty.",
        ),
        (["API_SECRET_KEY_1"], "API_SECRET_KEY_1 is empty."),
    ],
)
def test_missing_keys(
    missing: list[str], sentence: str, settings: Settings, set_tokens: Setter
) -> None:
    set_tokens(DEMO=False, TOKEN_AUDIENCE="us")
    for name in missing:
        set_tokens(**{name: ""}) if name in settings.TOKENS else setattr(settings, name, "")
    expected = f"{sentence} {MADE_BY_SETUP}"
    assert key_problems() == [expected]
    assert checked(deploy=True) == [f"tokens.E002 {expected}"]


def test_a_fresh_checkout_passes_plain_checks(
    configure: Configure, settings: Settings, set_tokens: Setter
) -> None:
    configure()
    settings.SECRET_KEY, settings.DEBUG = "", False
    set_tokens(API_SECRET_KEY_1="", DEMO=False)
    assert checked() == []
    assert len(key_problems()) == 3


def test_either_key_will_do(configure: Configure, set_tokens: Setter) -> None:
    configure(Pair("", None, ""), pair("HS256"))
    set_tokens(DEMO=False, API_SECRET_KEY_1="", API_SECRET_KEY_2=secrets.token_hex(16))
    assert key_problems() == []


def test_the_demo_signs_with_key_1(configure: Configure) -> None:
    configure(Pair("", None, ""), pair("HS256"))
    [problem] = key_problems()
    assert problem.startswith(
        "SIGNING_KEY_1_METHOD is empty, but the demo (DEMO) signs with key 1."
    )


def wrong_keys() -> list[tuple[Pair, str]]:
    rsa, small = rsa_key(), rsa_key(1024)
    return [
        (Pair("HS257", None, encoded(b"x" * 64)), "METHOD must be one of HS256, HS384, "),
        (Pair("", None, encoded(b"x" * 64)), "METHOD must be one of HS256, HS384, "),
        (Pair("HS256", None, ""), "ENCODED is empty, but SIGNING_KEY_{n}_METHOD is set."),
        (Pair("HS256", None, "not Base64!"), "ENCODED must be Base64."),
        (Pair("HS256", None, "abc"), "ENCODED must be Base64."),
        *(
            (
                hmac_pair(method, b"x" * (size - 1)),
                f"ENCODED must be a secret of at least {size} bytes for {method}, "
                f"but has {size - 1}.",
            )
            for method, size in HMAC_BYTES.items()
        ),
        (hmac_pair("HS256", b"x" * 32), "ENCODED is easy to guess: it must be drawn at random."),
        (Pair("HS512", None, encoded(public_pem(rsa))), "ENCODED must be a secret of at least 64 "),
        (Pair("RS256", None, encoded(b"x" * 64)), "ENCODED must be the Base64 of a PEM public"),
        (Pair("RS256", None, private_pair("RS256", rsa).private_encoded),
         "ENCODED must be the Base64 of a PEM public key."),
        (Pair("PS384", None, encoded(public_pem(small))),
         "ENCODED must be an RSA key of at least 2048 bits for PS384."),
        (Pair("ES512", None, pair("ES384").encoded),
         "ENCODED must be an elliptic-curve key on P-521 for ES512."),
        (Pair("EdDSA", None, encoded(public_pem(rsa))),
         "ENCODED must be an Ed25519 or Ed448 key for EdDSA."),
    ]  # fmt: skip


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("case", range(len(wrong_keys())))
def test_wrong_keys(case: int, number: int, configure: Configure) -> None:
    key, sentence = wrong_keys()[case]
    configure(*([key] if number == 1 else [pair("HS256"), key]))
    [problem] = key_problems()
    expected = f"SIGNING_KEY_{number}_{sentence}".replace("{n}", str(number))
    assert problem.startswith(expected)
    assert problem.endswith(" Correct it in `.env` or in the environment.")
    assert key.encoded == "" or key.encoded not in problem
    assert checked() == [f"tokens.E001 {problem}"]


@pytest.mark.parametrize(
    ("private", "sentence"),
    [
        ("", "is required to sign with RS256"),
        ("not Base64!", "must be Base64"),
        (encoded(b"no PEM"), "must be the Base64 of a PEM private key without password"),
        (pair("ES256").private_encoded, "must be the private half of signing key 1"),
        (pair("RS256", 1).private_encoded, "must be the private half of signing key 1"),
    ],
    ids=["missing", "not Base64", "not PEM", "another kind", "another key"],
)
def test_the_demo_needs_the_private_key(
    private: str, sentence: str, configure: Configure, set_tokens: Setter
) -> None:
    configure(pair("RS256"), private=private)
    assert key_problems() == [
        f"ISSUER_PRIVATE_KEY_ENCODED {sentence}; set it, or switch the demo off (DEMO=false)."
    ]
    set_tokens(DEMO=False)
    assert key_problems() == []


GUESSABLE = "is easy to guess: it must be drawn at random."
WEAK = {
    "x": "has 1 characters: use at least 32, drawn at random.",
    "a" * 64: GUESSABLE,
    "abc" * 20 + "a": GUESSABLE,
    "0123456789abcdefghijklmnopqrstuvwxyz": GUESSABLE,
    "a" * 30 + "b" * 30: GUESSABLE,
    "Please-ChangeMe-Before-You-Deploy-6172": GUESSABLE,
}


@pytest.mark.parametrize("name", ["SECRET_KEY", "API_SECRET_KEY_1", "API_SECRET_KEY_2"])
@pytest.mark.parametrize("secret", WEAK)
def test_weak_secrets(name: str, secret: str, settings: Settings, set_tokens: Setter) -> None:
    set_tokens(**{name: secret}) if name in settings.TOKENS else setattr(settings, name, secret)
    [problem] = key_problems()
    assert problem == f"{name} {WEAK[secret]} Correct it in `.env` or in the environment."
    told = f"tokens.E001 {problem}"
    assert told in checked(deploy=True)
    assert checked() == ([] if name == "SECRET_KEY" else [told])  # as `startproject` makes it


@given(strategies.binary(min_size=16, max_size=16), strategies.integers(0, 2))
def test_random_secrets_are_not_weak(seed: bytes, form: int) -> None:
    drawn = hashlib.sha256(seed).digest()
    assert not is_guessable((drawn, drawn[:16].hex().encode(), b64encode(drawn))[form])


def test_what_must_not_be_deployed(set_tokens: Setter) -> None:
    assert {found.split()[0] for found in checked(deploy=True)} == {"tokens.E004", "tokens.E005"}
    set_tokens(DEMO=False, TOKEN_AUDIENCE="us")
    assert checked(deploy=True) == []
