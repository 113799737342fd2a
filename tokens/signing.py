"""Verify a token's signature and claims, and sign new ones (protocol.md section 3).

The only module that loads the configured keys for use. A token does not choose its algorithm: it
must name the one of a configured key. Tokens and key material never appear in errors or logs.
"""

import re
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from hashlib import sha256

import jwt
from django.core.exceptions import ImproperlyConfigured

from tokens import strict_json
from tokens.claims import Claims, TokenError, check_claims, parse_claims
from tokens.conf import KeySettings, TokenSettings, conf
from tokens.keys import METHODS, KeyProblem, SigningKey, VerifyingKey, load_signing, load_verifying
from tokens.names import MAX_HEADER_BYTES, MAX_TOKEN_BYTES

# A cache of claims holds at most so many, and so many bytes of memory in all. Those of open
# connections are in memory anyway.
MAX_CACHED_TOKENS = 1000
MAX_CACHED_BYTES = 8 * 1024 * 1024

# In Base64url.
_MAX_HEADER_LENGTH = -(-MAX_HEADER_BYTES * 8 // 6)

_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_jws = jwt.PyJWS(algorithms=list(METHODS))


def verify(token: str, *, scope: str, now: float) -> Claims:
    """The claims of a valid token, for use in `scope` at `now` (unix seconds).

    The same token gives the same object while it is cached. Does not look up its `jti`. Raises
    `TokenError`.
    """
    return _verifier(conf.current()).verify(token, scope, now)


def sign(payload: Mapping[str, object]) -> str:
    """A token with these claims, signed with key 1. Does not check them: `tokens.api.issue` does.

    Raises `ImproperlyConfigured` where key 1 is missing or cannot sign.
    """
    key = _signing_key(conf.current())
    headers = {"kid": key.id} if key.id else None
    document = strict_json.dumps(dict(payload)).encode()
    return _jws.encode(document, key.material, algorithm=key.method, headers=headers)


type _CacheKey = tuple[str, str | bytes]


class _ClaimsCache:
    """The claims that were used last, by a key that stands for their text and scope."""

    def __init__(self) -> None:
        self._claims: OrderedDict[_CacheKey, Claims] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: _CacheKey) -> Claims | None:
        with self._lock:
            claims = self._claims.get(key)
            if claims is not None:
                self._claims.move_to_end(key)
            return claims

    def put(self, key: _CacheKey, claims: Claims) -> None:
        with self._lock:
            if key in self._claims:
                return
            self._claims[key] = claims
            self._bytes += claims.size
            while len(self._claims) > MAX_CACHED_TOKENS or self._bytes > MAX_CACHED_BYTES:
                self._bytes -= self._claims.popitem(last=False)[1].size

    def forget(self, key: _CacheKey) -> None:
        with self._lock:
            claims = self._claims.pop(key, None)
            if claims is not None:
                self._bytes -= claims.size


_accepted = _ClaimsCache()


def recall(payload: str, scope: str) -> Claims:
    """The claims of a payload that was accepted before. The same text gives the same object while
    it is cached."""
    claims = _accepted.get((scope, payload))
    if claims is None:
        claims = parse_claims(payload.encode(), scope=scope)
        _accepted.put((scope, payload), claims)
    return claims


class _Verifier:
    """The keys and expected claims of one set of settings, and a cache of verified tokens."""

    def __init__(self, configured: TokenSettings) -> None:
        self.keys = _usable_keys(configured.keys)
        self._check = partial(
            check_claims,
            leeway=configured.TOKEN_LEEWAY_SECONDS,
            longest=configured.TOKEN_MAX_SECONDS,
            audience=configured.TOKEN_AUDIENCE,
            issuer=configured.TOKEN_ISSUER,
        )
        self._cache = _ClaimsCache()

    def verify(self, token: str, scope: str, now: float) -> Claims:
        # Refused before it is hashed.
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenError("token", f"must have at most {MAX_TOKEN_BYTES} bytes")
        if not token.isascii():
            raise TokenError("token", "must be a JWT of three Base64url parts")
        cache_key = (scope, sha256(token.encode()).digest())
        cached = self._cache.get(cache_key)
        claims = cached or parse_claims(_verified_payload(token, self.keys), scope=scope)
        try:
            self._check(claims, now=now)
        except TokenError:
            self._cache.forget(cache_key)
            raise
        if cached is None:
            self._cache.put(cache_key, claims)
        return claims


@lru_cache(maxsize=4)
def _verifier(configured: TokenSettings) -> _Verifier:
    return _Verifier(configured)


@lru_cache(maxsize=4)
def _signing_key(configured: TokenSettings) -> SigningKey:
    first = configured.keys[0]
    if not first.present:
        raise ImproperlyConfigured("Signing key 1 is not set: `make setup` writes one.")
    try:
        verifying = load_verifying(*first)
    except KeyProblem as problem:
        raise ImproperlyConfigured(f"Signing key 1 {problem}.") from None
    try:
        return load_signing(verifying, configured.ISSUER_PRIVATE_KEY_ENCODED)
    except KeyProblem as problem:
        raise ImproperlyConfigured(f"ISSUER_PRIVATE_KEY_ENCODED {problem}.") from None


def _usable_keys(configured: Sequence[KeySettings]) -> tuple[VerifyingKey, ...]:
    """Without the keys that have a problem, which `tokens.checks` reports."""
    keys = []
    for key in configured:
        with suppress(KeyProblem):
            keys.append(load_verifying(*key))
    return tuple(keys)


def _verified_payload(token: str, keys: Sequence[VerifyingKey]) -> bytes:
    """Takes 0.4 ms at most for whoever has no key: what takes longer comes after the signature."""
    if _COMPACT.fullmatch(token) is None:
        raise TokenError("token", "must be a JWT of three Base64url parts")
    header, payload, signature = token.split(".")
    method, kid = _header(header)
    fitting = [key for key in keys if key.accepts(method, kid)]
    if not fitting:
        raise TokenError("header", "must name, in alg and kid, a key that is configured here")
    signed, signature_bytes = f"{header}.{payload}".encode(), _decoded(signature, "signature")
    algorithm = jwt.get_algorithm_by_name(method)
    for key in fitting:
        if algorithm.verify(signed, algorithm.prepare_key(key.material), signature_bytes):
            return _decoded(payload, "payload")
    raise TokenError("signature", "must be that of a key that is configured here")


def _decoded(part: str, name: str) -> bytes:
    """Takes one spelling only, so that a token is not two."""
    try:
        decoded = urlsafe_b64decode(f"{part}==")
    except ValueError:
        decoded = b""
    if urlsafe_b64encode(decoded).rstrip(b"=") != part.encode():
        raise TokenError(name, "must be Base64url")
    return decoded


def _header(encoded: str) -> tuple[str, str]:
    """The alg and the kid of a valid header; "" where it has no kid."""
    if len(encoded) > _MAX_HEADER_LENGTH:
        raise TokenError("header", f"must have at most {MAX_HEADER_BYTES} bytes")
    try:
        header = strict_json.loads(_decoded(encoded, "header"))
    except strict_json.JsonError as error:
        raise TokenError("header", str(error)) from None
    if not isinstance(header, dict):
        raise TokenError("header", "must be an object")
    method, kid, kind = header.get("alg"), header.get("kid", ""), header.get("typ", "JWT")
    if not isinstance(method, str) or method not in METHODS:
        raise TokenError("header.alg", f"must be one of {', '.join(METHODS)}")
    if not isinstance(kind, str) or kind.upper() != "JWT":  # ignores case: RFC 7519 section 5.1
        raise TokenError("header.typ", 'must be "JWT"')
    if not isinstance(kid, str):
        raise TokenError("header.kid", "must be a string")
    for name in ("crit", "b64"):
        if name in header:
            raise TokenError(f"header.{name}", "must be absent")
    return method, kid
