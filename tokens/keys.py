"""Signing keys: from a method, an id and Base64 to a key that verifies or signs.

Knows no settings and no Django. Refuses a key that is weak or of another kind than its method
needs, so that it never verifies anything (protocol.md section 3).
"""

import base64
import binascii
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import log2
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

PublicKey = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
)
PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)

MIN_RSA_BITS = 2048  # RFC 7518 sections 3.3 and 3.5

MIN_ENTROPY: Final = 80  # bits, as `_entropy` sees them: of 32 hexadecimal digits more than 90
PLACEHOLDERS: Final = (b"changeme", b"change-me", b"change_me", b"insecure", b"password")


class KeyProblem(ValueError):
    """Why key material is refused: the end of a sentence that begins with its setting's name."""


@dataclass(frozen=True, slots=True, eq=False)
class Key[Material]:
    """A key that is ready for use: a secret's bytes, or a key object."""

    method: str
    id: str
    material: Material = field(repr=False)

    def accepts(self, method: str, kid: str) -> bool:
        """Whether a token's header may name this key; `kid` is "" where it has none."""
        return method == self.method and self.id in ("", kid)


type VerifyingKey = Key[bytes | PublicKey]
type SigningKey = Key[bytes | PrivateKey]


@dataclass(frozen=True, slots=True)
class Method:
    """The key material that an algorithm needs: a secret of `secret_bytes`, or a public key."""

    material: str
    fits: Callable[[PublicKey], bool]
    secret_bytes: int = 0


def _hmac(name: str) -> Method:
    size = hashlib.new(name).digest_size
    return Method(f"a secret of at least {size} bytes", lambda key: False, size)


def _ec(curve: type[ec.EllipticCurve], name: str) -> Method:
    return Method(
        f"an elliptic-curve key on {name}",
        lambda key: isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, curve),
    )


_RSA = Method(
    f"an RSA key of at least {MIN_RSA_BITS} bits",
    lambda key: isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS,
)
_EDDSA = Method(
    "an Ed25519 or Ed448 key",
    lambda key: isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey),
)

METHODS: dict[str, Method] = {
    "HS256": _hmac("sha256"),
    "HS384": _hmac("sha384"),
    "HS512": _hmac("sha512"),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), _RSA),
    "ES256": _ec(ec.SECP256R1, "P-256"),
    "ES384": _ec(ec.SECP384R1, "P-384"),
    "ES512": _ec(ec.SECP521R1, "P-521"),
    "EdDSA": _EDDSA,
}


def load_verifying(method: str, key_id: str, encoded: str) -> VerifyingKey:
    """A key that verifies: HMAC secret or PEM public key in Base64. Raises `KeyProblem`."""
    rule = METHODS.get(method)
    if rule is None:
        raise KeyProblem(f"must be one of {', '.join(METHODS)}")
    load = _secret if rule.secret_bytes else _public_key
    return Key(method, key_id, load(rule, method, _decoded(encoded)))


def load_signing(verifying: VerifyingKey, encoded: str) -> SigningKey:
    """The key that signs what `verifying` verifies. Raises `KeyProblem`.

    `encoded` is the Base64 of the PEM private key; an HMAC key needs none.
    """
    if isinstance(verifying.material, bytes):
        return Key(verifying.method, verifying.id, verifying.material)
    if not encoded:
        raise KeyProblem(f"is required to sign with {verifying.method}")
    raw = _decoded(encoded)
    try:
        private = load_pem_private_key(raw, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyProblem("must be the Base64 of a PEM private key without password") from None
    if not isinstance(private, PrivateKey) or private.public_key() != verifying.material:
        raise KeyProblem("must be the private half of signing key 1")
    return Key(verifying.method, verifying.id, private)


def is_guessable(secret: bytes) -> bool:
    """Whether a secret repeats itself, is a row such as 0123… or says that it is a placeholder.
    One that was drawn at random does not."""
    half = len(secret) // 2
    steps = bytes((after - before) % 256 for before, after in pairwise(secret))
    return (
        any(secret[period:] == secret[:-period] for period in range(1, half + 1))
        or min(_entropy(secret), _entropy(steps)) < MIN_ENTROPY
        or any(word in secret.lower() for word in PLACEHOLDERS)
    )


def _entropy(secret: bytes) -> float:
    """Bits, by how often each byte occurs (Shannon)."""
    return sum(count * log2(len(secret) / count) for count in Counter(secret).values())


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise KeyProblem("must be Base64") from None


def _secret(rule: Method, method: str, raw: bytes) -> bytes:
    try:
        # Algorithm confusion: with a public key as the secret, anyone could sign.
        jwt.get_algorithm_by_name(method).prepare_key(raw)
    except jwt.InvalidKeyError:
        raise KeyProblem(f"must be {rule.material} for {method}, not another kind of key") from None
    if len(raw) < rule.secret_bytes:
        raise KeyProblem(f"must be {rule.material} for {method}, but has {len(raw)}")
    if is_guessable(raw):
        raise KeyProblem("is easy to guess: it must be drawn at random")
    return raw


def _public_key(rule: Method, method: str, raw: bytes) -> PublicKey:
    try:
        public = load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyProblem("must be the Base64 of a PEM public key") from None
    if not isinstance(public, PublicKey) or not rule.fits(public):
        raise KeyProblem(f"must be {rule.material} for {method}")
    return public
