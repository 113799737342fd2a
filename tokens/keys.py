"""Signing keys: from a method, an id and Base64 to what verifies or signs, or a word why not.

Knows no settings and no Django. A key that is weak or of another kind than its method needs is
refused here, so it never verifies anything (protocol.md section 3).
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

MIN_RSA_BITS = 2048  # RFC 7518 sections 3.3 and 3.5


class KeyProblem(ValueError):
    """Why key material is refused: the rest of a sentence that begins with its variable's name."""


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """Ready to use: `material` is a secret's bytes or a public (to sign: a private) key object."""

    method: str
    id: str
    material: Any = field(repr=False)

    def accepts(self, method: str, kid: str | None) -> bool:
        return method == self.method and (not self.id or kid == self.id)


@dataclass(frozen=True, slots=True)
class Method:
    """What key material an algorithm needs; `fits` is asked about public keys."""

    material: str
    fits: Callable[[object], bool]
    digest_bytes: int = 0

    @property
    def symmetric(self) -> bool:
        return self.digest_bytes > 0


def _hmac(name: str) -> Method:
    size = hashlib.new(name).digest_size
    return Method(f"a secret of at least {size} bytes", lambda key: True, size)


def _rsa() -> Method:
    return Method(
        f"an RSA key of at least {MIN_RSA_BITS} bits",
        lambda key: isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS,
    )


def _ec(curve: type[ec.EllipticCurve], name: str) -> Method:
    return Method(
        f"an elliptic-curve key on {name}",
        lambda key: isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, curve),
    )


METHODS: dict[str, Method] = {
    "HS256": _hmac("sha256"),
    "HS384": _hmac("sha384"),
    "HS512": _hmac("sha512"),
    "RS256": _rsa(),
    "RS384": _rsa(),
    "RS512": _rsa(),
    "PS256": _rsa(),
    "PS384": _rsa(),
    "PS512": _rsa(),
    "ES256": _ec(ec.SECP256R1, "P-256"),
    "ES384": _ec(ec.SECP384R1, "P-384"),
    "ES512": _ec(ec.SECP521R1, "P-521"),
    "EdDSA": Method(
        "an Ed25519 or Ed448 key",
        lambda key: isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey),
    ),
}


def load_verifying(method: str, key_id: str, encoded: str) -> Key:
    """A key that verifies: HMAC secret or PEM public key in Base64. Raises `KeyProblem`."""
    rule = _method(method)
    raw = _decoded(encoded)
    if rule.symmetric:
        return Key(method, key_id, _secret(rule, method, raw))
    try:
        public = load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyProblem("must be the Base64 of a PEM public key") from None
    _require_fit(rule, method, public)
    return Key(method, key_id, public)


def load_signing(verifying: Key, encoded: str) -> Key:
    """The key that signs what `verifying` verifies. Raises `KeyProblem`.

    `encoded` is the Base64 of the PEM private key; an HMAC key needs none.
    """
    if METHODS[verifying.method].symmetric:
        return verifying
    if not encoded:
        raise KeyProblem(f"is required to sign with {verifying.method}")
    raw = _decoded(encoded)
    try:
        private = load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyProblem("must be the Base64 of a PEM private key without password") from None
    if private.public_key() != verifying.material:
        raise KeyProblem("must be the private half of signing key 1")
    return Key(verifying.method, verifying.id, private)


def _method(name: str) -> Method:
    try:
        return METHODS[name]
    except KeyError:
        raise KeyProblem(f"must be one of {', '.join(METHODS)}") from None


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise KeyProblem("must be Base64") from None


def _secret(rule: Method, method: str, raw: bytes) -> bytes:
    try:
        # A published key taken as a secret would let anybody sign: algorithm confusion.
        jwt.get_algorithm_by_name(method).prepare_key(raw)
    except jwt.InvalidKeyError:
        raise KeyProblem(f"must be {rule.material} for {method}, not another kind of key") from None
    if len(raw) < rule.digest_bytes:
        raise KeyProblem(f"must be {rule.material} for {method}, but has {len(raw)}")
    return raw


def _require_fit(rule: Method, method: str, public: object) -> None:
    if not rule.fits(public):
        raise KeyProblem(f"must be {rule.material} for {method}")
