"""Verify a token's signature and claims, and sign new ones (protocol.md section 3).

The only place that knows the configured keys. The token never chooses its algorithm: it must name
the one that a key is configured for. Tokens and key material never get into errors or logs.
"""

import re
import threading
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256

import jwt
from django.core.exceptions import ImproperlyConfigured

from tokens import strict_json
from tokens.claims import Claims, TokenError, check_claims, parse_claims
from tokens.conf import KeySettings, TokenSettings, conf
from tokens.keys import METHODS, Key, KeyProblem, load_signing, load_verifying
from tokens.names import MAX_TOKEN_BYTES

# Verified tokens remembered, by number and by the sum of their lengths in bytes. Each takes some
# 6 KB with its permissions, a large one ten times its length; those of open connections are in
# memory anyway.
MAX_CACHED_TOKENS = 1000
MAX_CACHED_BYTES = 2 * 1024 * 1024

_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_jws = jwt.PyJWS(algorithms=list(METHODS))


def verify(token: str, *, scope: str, now: float) -> Claims:
    """The claims of a good token, for use in `scope` at `now` (unix seconds).

    The same token gives the same object as long as it is remembered. A `jti` is not looked up
    here. Raises `TokenError`.
    """
    return _verifier(conf.current()).verify(token, scope, now)


def sign(payload: Mapping[str, object]) -> str:
    """A token with these claims, unchecked (`tokens.api.issue` checks), signed with key 1.

    Raises `ImproperlyConfigured` where key 1 is missing or cannot sign.
    """
    key = _signing_key(conf.current())
    headers = {"kid": key.id} if key.id else None
    document = strict_json.dumps(dict(payload)).encode()
    return _jws.encode(document, key.material, algorithm=key.method, headers=headers)


@dataclass(frozen=True, slots=True)
class _Cached:
    claims: Claims
    size: int


class _Verifier:
    """The keys and expectations of one set of settings, and the tokens verified with them."""

    def __init__(self, configured: TokenSettings) -> None:
        self.keys = _usable_keys(configured.keys)
        self._check = partial(
            check_claims,
            leeway=configured.TOKEN_LEEWAY_SECONDS,
            audience=configured.TOKEN_AUDIENCE,
            issuer=configured.TOKEN_ISSUER,
        )
        self._cache: OrderedDict[tuple[str, bytes], _Cached] = OrderedDict()
        self._cached_bytes = 0
        self._lock = threading.Lock()

    def verify(self, token: str, scope: str, now: float) -> Claims:
        # Longer than allowed, or not ASCII: refused before any work is done on it.
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenError("token", f"must have at most {MAX_TOKEN_BYTES} bytes")
        if not token.isascii():
            raise TokenError("token", "must be a JWT of three Base64url parts")
        place = (scope, sha256(token.encode()).digest())
        claims = self._recall(place)
        if claims is None:
            claims = parse_claims(_verified_payload(token, self.keys), scope=scope)
            self._check(claims, now=now)
            self._remember(place, claims, len(token))
        else:
            self._check_again(place, claims, now)
        return claims

    def _check_again(self, place: tuple[str, bytes], claims: Claims, now: float) -> None:
        try:
            self._check(claims, now=now)
        except TokenError:
            self._forget(place)
            raise

    def _recall(self, place: tuple[str, bytes]) -> Claims | None:
        with self._lock:
            cached = self._cache.get(place)
            if cached is None:
                return None
            self._cache.move_to_end(place)
            return cached.claims

    def _remember(self, place: tuple[str, bytes], claims: Claims, size: int) -> None:
        with self._lock:
            if place in self._cache:
                return
            self._cache[place] = _Cached(claims, size)
            self._cached_bytes += size
            while len(self._cache) > MAX_CACHED_TOKENS or self._cached_bytes > MAX_CACHED_BYTES:
                _, evicted = self._cache.popitem(last=False)
                self._cached_bytes -= evicted.size

    def _forget(self, place: tuple[str, bytes]) -> None:
        with self._lock:
            cached = self._cache.pop(place, None)
            if cached is not None:
                self._cached_bytes -= cached.size


@lru_cache(maxsize=4)
def _verifier(configured: TokenSettings) -> _Verifier:
    return _Verifier(configured)


@lru_cache(maxsize=4)
def _signing_key(configured: TokenSettings) -> Key:
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


def _usable_keys(configured: Sequence[KeySettings]) -> tuple[Key, ...]:
    """Keys with a problem verify nothing; `tokens.checks` says what the problem is."""
    keys = []
    for key in configured:
        try:
            keys.append(load_verifying(*key))
        except KeyProblem:
            continue
    return tuple(keys)


def _verified_payload(token: str, keys: Sequence[Key]) -> bytes:
    if _COMPACT.fullmatch(token) is None:
        raise TokenError("token", "must be a JWT of three Base64url parts")
    method, kid = _header(token)
    fitting = [key for key in keys if key.accepts(method, kid)]
    if not fitting:
        raise TokenError("header", "must name, in alg and kid, a key that is configured here")
    for key in fitting:
        try:
            return bytes(_jws.decode(token, key.material, algorithms=[key.method]))
        except jwt.PyJWTError:
            continue
    raise TokenError("signature", "must be that of a key that is configured here")


def _header(token: str) -> tuple[str, str | None]:
    """The header's alg and kid, once nothing else in it stands against the token."""
    encoded = token.partition(".")[0]
    try:
        header = strict_json.loads(urlsafe_b64decode(f"{encoded}=="))
    except strict_json.JsonError as error:
        raise TokenError("header", str(error)) from None
    except ValueError:
        raise TokenError("header", "must be Base64url") from None
    if not isinstance(header, dict):
        raise TokenError("header", "must be an object")
    for name, (expected, is_good) in _HEADER_RULES.items():
        if not is_good(header.get(name, _ABSENT)):
            raise TokenError(f"header.{name}", expected)
    return header["alg"], header.get("kid")


_ABSENT: object = object()
_HEADER_RULES: dict[str, tuple[str, Callable[[object], bool]]] = {
    "alg": (
        "must be one of " + ", ".join(METHODS),
        lambda value: isinstance(value, str) and value in METHODS,
    ),
    # Media types ignore case (RFC 7519 section 5.1).
    "typ": ('must be "JWT"', lambda value: value is _ABSENT or _is_jwt(value)),
    "kid": ("must be a string", lambda value: value is _ABSENT or isinstance(value, str)),
    "crit": ("must be absent", lambda value: value is _ABSENT),
    "b64": ("must be absent", lambda value: value is _ABSENT),
}


def _is_jwt(value: object) -> bool:
    return isinstance(value, str) and value.upper() == "JWT"
