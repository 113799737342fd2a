import base64
import hashlib
import hmac
import json
import secrets
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.exceptions import ImproperlyConfigured

from tests.support.configuring import Setter
from tests.tokens.material import (
    HMAC_BYTES,
    METHODS,
    Pair,
    b64url,
    ed448_pair,
    encoded,
    hmac_pair,
    pair,
    payload,
    private_pair,
    public_pem,
    rsa_key,
)
from tokens import signing
from tokens.claims import Claims, TokenError
from tokens.conf import conf
from tokens.signing import MAX_CACHED_TOKENS, recall, sign, verify

Configure = Callable[..., None]
NOW = 1_000_000.0


def verified(token: str, now: float = NOW, scope: str = "connect") -> Claims:
    return verify(token, scope=scope, now=now)


def refusal(token: str, now: float = NOW, scope: str = "connect") -> str:
    with pytest.raises(TokenError) as caught:
        verify(token, scope=scope, now=now)
    sentence = str(caught.value)
    assert len(token) < 8 or token not in sentence
    return sentence


def tampered(token: str) -> str:
    """The same token with the first bit of its signature flipped."""
    signed, _, signature = token.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[0] ^= 0x80
    return f"{signed}.{b64url(bytes(raw)).decode()}"


def header(**members: Any) -> bytes:
    return json.dumps({"alg": "HS256"} | members).encode()


# --- algorithms ----------------------------------------


def test_there_are_thirteen_algorithms() -> None:
    assert len(METHODS) == 13


@pytest.mark.parametrize("method", METHODS)
def test_each_algorithm(method: str, configure: Configure) -> None:
    key = pair(method)
    configure(key)
    token = key.sign(payload(uid="jim"))
    assert verified(token).uid == "jim"
    assert refusal(tampered(token)) == "signature must be that of a key that is configured here"


@pytest.mark.parametrize("method", METHODS)
def test_another_key_of_the_same_method_is_refused(method: str, configure: Configure) -> None:
    configure(pair(method))
    assert refusal(pair(method, 1).sign(payload())).startswith("signature must be ")


def test_eddsa_takes_ed448_too(configure: Configure) -> None:
    key = ed448_pair()
    configure(key)
    assert verified(key.sign(payload(uid="pam"))).uid == "pam"


@pytest.mark.parametrize("method", METHODS)
def test_no_other_algorithm_than_the_keys_own(method: str, configure: Configure) -> None:
    key = pair(method)
    configure(key)
    for other in (*METHODS, "none", "None", "", "hs256", "ES256K"):
        if other != method:
            token = key.sign_header(header(alg=other), payload())
            assert refusal(token).startswith("header")


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
def test_none_is_never_an_algorithm(alg: str) -> None:
    unsigned = b".".join(map(b64url, (header(alg=alg), payload()))).decode()
    assert refusal(f"{unsigned}.").startswith("token must be a JWT")
    assert refusal(f"{unsigned}.AAAA").startswith("header.alg must be one of HS256, ")


@pytest.mark.parametrize("method", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("other", HMAC_BYTES)
def test_a_public_key_is_no_secret(method: str, other: str, configure: Configure) -> None:
    """Algorithm confusion: the attacker signs by HMAC with the public key, which is no secret."""
    key = pair(method)
    public = base64.b64decode(key.encoded)
    configure(key)
    forged = forge(other, public)
    assert refusal(forged).startswith("header must name")
    # Not even where the site itself takes the one for the other.
    configure(Pair(other, public, key.encoded))
    assert refusal(forged).startswith("header must name")


def forge(method: str, secret: bytes) -> str:
    """Signed by hand: PyJWT would refuse to use a PEM key as a secret."""
    signing_input = b".".join(map(b64url, (header(alg=method), payload())))
    digest = hmac.digest(secret, signing_input, f"sha{method[2:]}")
    return b".".join((signing_input, b64url(digest))).decode()


def test_the_forger_signs_as_we_do(configure: Configure) -> None:
    secret = secrets.token_bytes(32)
    configure(hmac_pair("HS256", secret))
    assert verified(forge("HS256", secret)).scope == {"connect"}


# --- keys that are refused ----------------------------------------


def weak_keys() -> list[tuple[str, Pair]]:
    p256, p384 = (ec.generate_private_key(curve()) for curve in (ec.SECP256R1, ec.SECP384R1))
    k256 = ec.generate_private_key(ec.SECP256K1())
    small, rsa = rsa_key(1024), rsa_key()
    return [
        *(
            (f"{method} a byte short", hmac_pair(method, secrets.token_bytes(size - 1)))
            for method, size in HMAC_BYTES.items()
        ),
        ("RSA of 1024 bits", private_pair("RS256", small)),
        ("PSS of 1024 bits", private_pair("PS512", small)),
        ("ES384 on P-256", Pair("ES384", None, encoded(public_pem(p256)))),
        ("ES256 on P-384", Pair("ES256", None, encoded(public_pem(p384)))),
        ("ES256 on secp256k1", Pair("ES256", None, encoded(public_pem(k256)))),
        ("ES256 with RSA", Pair("ES256", None, encoded(public_pem(rsa)))),
        ("EdDSA with RSA", Pair("EdDSA", None, encoded(public_pem(rsa)))),
        ("RS256 with a curve", Pair("RS256", None, encoded(public_pem(p256)))),
        (
            "RS256 with a private key",
            Pair("RS256", None, private_pair("RS256", rsa).private_encoded),
        ),
        ("RS256 with a secret", Pair("RS256", None, encoded(b"x" * 64))),
        ("not Base64", Pair("HS256", None, "%" * 64)),
        ("unknown method", Pair("HS1", None, encoded(b"x" * 64))),
        ("lower case", Pair("hs256", None, encoded(b"x" * 64))),
        ("empty", Pair("HS256", None, "")),
    ]


@pytest.mark.parametrize("case", range(len(weak_keys())))
def test_a_key_that_is_weak_or_of_another_kind_verifies_nothing(
    case: int, configure: Configure
) -> None:
    _, key = weak_keys()[case]
    configure(key)
    token = forge("HS256", b"x" * 64) if key.method not in METHODS else signed_like(key)
    assert refusal(token).startswith("header")


def signed_like(key: Pair) -> str:
    """A token that names the key's method; its signature does not matter, nothing is configured."""
    return b".".join(map(b64url, (header(alg=key.method), payload(), b"x" * 64))).decode()


def test_a_bad_key_leaves_the_other_in_force(configure: Configure) -> None:
    good = pair("HS256")
    configure(Pair("RS256", None, "?"), good)
    assert verified(good.sign(payload())).exp > NOW


def test_without_keys_nothing_is_accepted(configure: Configure, signer: Pair) -> None:
    configure()
    assert refusal(signer.sign(payload())).startswith("header must name, in alg and kid, a key")


def test_wrapped_base64_is_read(configure: Configure) -> None:
    key = pair("RS256")
    wrapped = base64.encodebytes(base64.b64decode(key.encoded)).decode()
    configure(Pair("RS256", key.signing, wrapped))
    assert verified(key.sign(payload())).exp > NOW


# --- key ids and rotation ----------------------------------------

KIDS = [
    # the key's id, the token's kid, whether it is accepted
    ("", None, True),
    ("", "any", True),
    ("", "", True),
    ("a", "a", True),
    ("a", None, False),
    ("a", "", False),
    ("a", "b", False),
    ("a", "A", False),
    ("é", "é", True),
]


@pytest.mark.parametrize(("key_id", "kid", "accepted"), KIDS)
@pytest.mark.parametrize("place", [1, 2])
def test_key_ids(
    key_id: str, kid: str | None, accepted: bool, place: int, configure: Configure
) -> None:
    key, other = pair("HS256"), pair("HS256")
    if place == 1:
        configure(key, ids=(key_id, ""))
    else:
        configure(other, key, ids=("other", key_id))
    token = key.sign(payload(), **({} if kid is None else {"kid": kid}))
    if accepted:
        assert verified(token).scope == {"connect"}
    else:
        assert refusal(token).startswith("header must name")


@pytest.mark.parametrize(
    ("methods", "ids"),
    [
        (("HS256", "HS256"), ("", "")),
        (("HS256", "HS256"), ("a", "b")),
        (("HS256", "HS256"), ("a", "a")),
        (("HS256", "ES256"), ("", "")),
        (("RS256", "PS256"), ("a", "")),
        (("EdDSA", "EdDSA"), ("", "b")),
    ],
)
def test_keys_rotate_without_a_gap(
    methods: tuple[str, str], ids: tuple[str, str], configure: Configure
) -> None:
    old, new = (pair(method, number) for number, method in enumerate(methods))
    tokens = [
        key.sign(payload(), **({"kid": key_id} if key_id else {}))
        for key, key_id in zip((old, new), ids, strict=True)
    ]
    configure(old, new, ids=ids)
    assert [verified(token).scope for token in tokens] == [{"connect"}] * 2
    configure(new, ids=(ids[1], ""))
    assert verified(tokens[1]).scope == {"connect"}
    assert refusal(tokens[0]).startswith(("header must name", "signature must be"))


def test_a_kid_does_not_lend_one_key_the_others_id(configure: Configure) -> None:
    first, second = pair("HS256"), pair("HS256")
    configure(first, second, ids=("a", "b"))
    assert refusal(first.sign(payload(), kid="b")).startswith("signature must be")


# --- the token's form ----------------------------------------


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        (b'{"alg":"HS256"}', None),
        (b'{"alg":"HS256","typ":"JWT"}', None),
        (b'{"alg":"HS256","typ":"jwt"}', None),
        (b'{"alg":"HS256","x5t":"x","cty":"y"}', None),
        (b'{"alg":"HS256","typ":"at+jwt"}', 'header.typ must be "JWT"'),
        (b'{"alg":"HS256","typ":""}', 'header.typ must be "JWT"'),
        (b'{"alg":"HS256","typ":null}', 'header.typ must be "JWT"'),
        (b'{"alg":"HS256","typ":["JWT"]}', 'header.typ must be "JWT"'),
        (b'{"alg":"HS256","kid":1}', "header.kid must be a string"),
        (b'{"alg":"HS256","kid":null}', "header.kid must be a string"),
        (b'{"alg":"HS256","crit":["b64"],"b64":false}', "header.crit must be absent"),
        (b'{"alg":"HS256","crit":["b64"],"b64":true}', "header.crit must be absent"),
        (b'{"alg":"HS256","crit":[]}', "header.crit must be absent"),
        (b'{"alg":"HS256","b64":true}', "header.b64 must be absent"),
        (b'{"alg":"HS256","b64":false}', "header.b64 must be absent"),
        (b'{"alg":"HS256","alg":"HS256"}', "header holds the same key twice in one object"),
        (b'{"alg":"none","alg":"HS256"}', "header holds the same key twice in one object"),
        (b'{"alg":"HS256","x":{"y":1,"y":1}}', "header holds the same key twice in one object"),
        (b'{"alg":"HS256","x":NaN}', "header holds NaN, which is not JSON"),
        (b'{"alg":["HS256"]}', "header.alg must be one of HS256, "),
        (b'{"alg":null}', "header.alg must be one of HS256, "),
        (b"{}", "header.alg must be one of HS256, "),
        (b"[]", "header must be an object"),
        (b'"HS256"', "header must be an object"),
        (b"x", "header is not JSON"),
        (
            b'{"alg":"HS256","x":' + b"[" * 400 + b"]" * 400 + b"}",
            "header is nested deeper than 100 levels",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_headers(members: bytes, sentence: str | None, signer: Pair) -> None:
    token = signer.sign_header(members, payload())
    if sentence is None:
        assert verified(token).scope == {"connect"}
    else:
        assert refusal(token).startswith(sentence)


def test_a_header_has_at_most_1024_bytes(signer: Pair) -> None:
    padded = b'{"alg":"HS256","x":"%b"}'
    room = 1024 - len(padded % b"")
    assert verified(signer.sign_header(padded % (b"x" * room), payload())).exp > NOW
    for size in (room + 1, room + 2, 40_000):
        token = signer.sign_header(padded % (b"x" * size), payload())
        assert refusal(token) == "header must have at most 1024 bytes"


@pytest.mark.parametrize(
    "change",
    [
        lambda token: "",
        lambda token: ".",
        lambda token: "..",
        lambda token: "a.b",
        lambda token: "a.b.c",
        lambda token: f"{token}.",
        lambda token: f".{token}",
        lambda token: f"{token}=",
        lambda token: f" {token}",
        lambda token: f"{token}\n",
        lambda token: token + "!",
        lambda token: token + "é",
        lambda token: token + "\x00",
        lambda token: token + "\ud800",
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token.replace(".", ".A", 1),
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: "Bearer " + token,
    ],
)
def test_what_is_not_exactly_a_jwt_is_refused(change: Callable[[str], str], signer: Pair) -> None:
    changed = change(signer.sign(payload()))
    with pytest.raises(TokenError, match=r"^(token|header|signature)"):
        verified(changed)


def test_no_other_spelling_of_a_signature_is_accepted(signer: Pair) -> None:
    """The last character of 43 carries 4 bits: three more would decode to the same bytes."""
    token = signer.sign(payload())
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for last in set(alphabet) - {token[-1]}:
        assert refusal(token[:-1] + last).startswith("signature must be")


def test_a_token_has_at_most_64_kib(signer: Pair) -> None:
    fixed = len(signer.sign(payload(pad="")))
    # Base64 turns 3 bytes into 4 characters; the loop finds the payload that just fits.
    size = (65_536 - fixed) * 3 // 4 - 8
    while len(signer.sign(payload(pad="x" * (size + 1)))) <= 65_536:
        size += 1
    assert verified(signer.sign(payload(pad="x" * size))).exp > NOW
    assert refusal(signer.sign(payload(pad="x" * (size + 1)))) == (
        "token must have at most 65536 bytes"
    )


def test_a_payload_is_parsed_after_its_signature(signer: Pair) -> None:
    assert refusal(tampered(signer.sign(b"not JSON"))).startswith("signature")
    assert refusal(signer.sign(b"not JSON")) == "payload is not JSON"
    assert refusal(signer.sign(b'{"exp":1,"exp":2}')).startswith("payload holds the same key twice")


# --- time, audience, issuer ----------------------------------------


def test_exp_with_fractions(signer: Pair) -> None:
    token = signer.sign(payload(exp=NOW + 0.5))
    assert verified(token, NOW + 0.499).exp == NOW + 0.5
    assert refusal(token, NOW + 0.5).startswith("exp must lie in the future")


def test_nbf_with_fractions(signer: Pair) -> None:
    token = signer.sign(payload(nbf=NOW + 0.5))
    assert refusal(token, NOW + 0.499).startswith("nbf must have passed")
    assert verified(token, NOW + 0.5).nbf == NOW + 0.5


def test_leeway(signer: Pair, set_tokens: Setter) -> None:
    set_tokens(TOKEN_LEEWAY_SECONDS=10)
    token = signer.sign(payload(exp=NOW, nbf=NOW))
    assert [verified(token, NOW + away).exp for away in (-10, 0, 9.9)] == [NOW] * 3
    assert refusal(token, NOW + 10).startswith("exp")
    assert refusal(token, NOW - 10.1).startswith("nbf")


def test_audience_and_issuer(signer: Pair, set_tokens: Setter) -> None:
    set_tokens(TOKEN_AUDIENCE="chat", TOKEN_ISSUER="us")
    assert verified(signer.sign(payload(aud=["x", "chat"], iss="us"))).aud == ("x", "chat")
    assert refusal(signer.sign(payload(iss="us"))) == 'aud must be or list "chat"'
    assert refusal(signer.sign(payload(aud="chat", iss="them"))) == 'iss must be "us"'


# --- what is remembered ----------------------------------------


def test_a_verified_token_is_remembered(signer: Pair) -> None:
    token = signer.sign(payload())
    assert verified(token) is verified(token)


def test_a_remembered_token_expires(signer: Pair) -> None:
    token = signer.sign(payload(exp=NOW + 1, nbf=NOW - 1))
    first = verified(token)
    assert refusal(token, NOW + 1).startswith("exp must lie in the future")
    assert refusal(token, NOW - 1.5).startswith("nbf must have passed")
    assert verified(token).uid == first.uid


def test_a_remembered_token_keeps_its_scope(signer: Pair) -> None:
    token = signer.sign(payload(scope="connect"))
    assert verified(token).scope == {"connect"}
    assert refusal(token, scope="subscribe") == 'scope must include "subscribe"'
    both = signer.sign(payload(scope="connect subscribe", channels={"c": {"autoSubscribe": True}}))
    counted = [
        verified(both, scope=scope).channels[0].directives for scope in ("connect", "subscribe")
    ]
    assert counted == [{"autoSubscribe": True}, {}]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("SIGNING_KEY_1_ENCODED", encoded(hashlib.sha256(b"another").digest())),
        ("SIGNING_KEY_1_METHOD", "HS384"),
        ("SIGNING_KEY_1_ID", "other"),
        ("TOKEN_AUDIENCE", "chat"),
        ("TOKEN_ISSUER", "us"),
    ],
)
def test_new_settings_forget_what_was_good_under_the_old(
    setting: str, value: str, signer: Pair, set_tokens: Setter
) -> None:
    token = signer.sign(payload())
    assert verified(token).scope == {"connect"}
    set_tokens(**{setting: value})
    assert refusal(token).startswith(("header", "signature", "aud", "iss"))


def test_new_leeway_holds_for_remembered_tokens(signer: Pair, set_tokens: Setter) -> None:
    token = signer.sign(payload(exp=NOW + 1))
    assert verified(token).exp == NOW + 1
    assert refusal(token, NOW + 2).startswith("exp")
    set_tokens(TOKEN_LEEWAY_SECONDS=5)
    assert verified(token, NOW + 2).exp == NOW + 1


def test_a_token_that_lives_too_long_is_refused(signer: Pair, set_tokens: Setter) -> None:
    token = signer.sign(payload(iat=NOW, exp=NOW + 301))
    assert verified(token).iat == NOW
    set_tokens(TOKEN_MAX_SECONDS=300)
    assert refusal(token) == "exp must be at most 300 s after iat, not 301.000"


def test_refusals_are_not_remembered(signer: Pair, configure: Configure) -> None:
    token = signer.sign(payload())
    configure(pair("HS256"))
    assert refusal(token).startswith("signature")
    configure(signer)
    assert verified(token).scope == {"connect"}


def test_the_number_of_remembered_tokens_is_bounded(
    signer: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "MAX_CACHED_TOKENS", 3)
    tokens = [signer.sign(payload(uid=str(number))) for number in range(4)]
    claims = [verified(token) for token in tokens[:3]]
    assert verified(tokens[0]) is claims[0]
    verified(tokens[3])  # the one used longest ago, tokens[1], makes room
    assert [verified(tokens[place]) is claims[place] for place in (0, 2)] == [True, True]
    assert verified(tokens[1]) is not claims[1]
    assert MAX_CACHED_TOKENS == 1000


def test_their_bytes_are_bounded_too(signer: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (signer.sign(payload(pad="x" * size)) for size in (10, 3000))
    monkeypatch.setattr(signing, "MAX_CACHED_BYTES", 20 * 3100)
    first = verified(small)
    assert verified(small) is first
    assert verified(large) is verified(large)
    assert verified(small) is not first
    huge = signer.sign(payload(pad="x" * 9000))
    assert verified(huge) is not verified(huge)
    assert verified(small) is verified(small)


def test_what_is_remembered_of_large_tokens_takes_no_more(
    signer: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that take most for their size."""
    assert signing.MAX_CACHED_BYTES == 8 * 1024 * 1024
    monkeypatch.setattr(signing, "MAX_CACHED_BYTES", 512 * 1024)
    tokens = []
    for number in range(10):
        events = {f"{number}-{at}": {"store": at} for at in range(200)}
        tokens.append(signer.sign(payload(channels={"c": {"messages": events}})))
    tracemalloc.start()
    for token in tokens:
        verified(token)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 128 * 1024 < held < 512 * 1024


@pytest.mark.parametrize("limit", ["MAX_CACHED_TOKENS", "MAX_CACHED_BYTES"])
def test_an_expired_token_leaves_room(
    limit: str, signer: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, one, two = (signer.sign(payload(exp=NOW + life)) for life in (1, 90, 91))
    room = {"MAX_CACHED_TOKENS": 2, "MAX_CACHED_BYTES": 20 * len(payload(exp=NOW + 90)) * 2}
    monkeypatch.setattr(signing, limit, room[limit])
    first = verified(one)
    verified(short)
    assert refusal(short, NOW + 2).startswith("exp")
    verified(two)
    assert verified(one) is first


def test_a_remembered_token_costs_little(signer: Pair) -> None:
    """Microseconds; the limit leaves room for a busy machine and none for a signature check."""
    token = signer.sign(payload(channels={f"c{number}": {} for number in range(50)}))
    verified(token)
    rounds = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(200):
            verified(token)
        rounds.append((time.perf_counter() - began) / 200)
    assert min(rounds) < 50e-6


def test_without_a_key_a_token_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever takes long comes after the signature."""
    monkeypatch.setattr(signing, "parse_claims", None)
    assert refusal(pair("HS256").sign(payload(x="x" * 48_000))).startswith("signature")


def test_a_payload_that_was_accepted_is_recalled() -> None:
    text = payload(uid="jim").decode()
    claims = recall(text, "connect")
    assert (claims.uid, claims.payload) == ("jim", text)
    assert recall(text.encode().decode(), "connect") is claims


# --- signing ----------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("key_id", ["", "k1"])
def test_what_we_sign_we_verify(method: str, key_id: str, configure: Configure) -> None:
    key = pair(method)
    configure(key, ids=(key_id, ""), private=key.private_encoded)
    token = sign(json.loads(payload(uid="é💬")))
    assert verified(token).uid == "é💬"
    stated = json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
    assert stated == {"alg": method, "typ": "JWT"} | ({"kid": key_id} if key_id else {})


@pytest.mark.parametrize(
    ("first", "private", "sentence"),
    [
        (None, "", "Signing key 1 is not set: `make setup` writes one."),
        ("RS256", "", "ISSUER_PRIVATE_KEY_ENCODED is required to sign with RS256."),
        ("RS256", "other", "must be the private half of signing key 1"),
        ("ES256", "?", "ISSUER_PRIVATE_KEY_ENCODED must be Base64."),
        ("ES256", encoded(b"x"), "must be the Base64 of a PEM private key without password."),
        ("bad", "", "Signing key 1 must be a secret of at least 32 bytes for HS256, but has 9."),
    ],
)
def test_a_key_that_cannot_sign(
    first: str | None, private: str, sentence: str, configure: Configure
) -> None:
    other = pair("RS256", 1).private_encoded
    keys = {None: [], "bad": [hmac_pair("HS256", b"x" * 9)]}
    key = keys[first] if first in keys else [pair(first)]
    configure(*key, private=other if private == "other" else private)
    with pytest.raises(ImproperlyConfigured) as caught:
        sign({"exp": 1})
    assert sentence in str(caught.value)


def test_key_material_is_not_shown(signer: Pair) -> None:
    verified(signer.sign(payload()))
    shown = [repr(key) for key in signing._verifier(conf.current()).keys]
    assert shown == ["Key(method='HS256', id='')"]
