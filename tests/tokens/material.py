"""Key pairs and raw tokens for the tests, made at run time: no key material lies in the repository.

Tokens are signed with PyJWT itself, byte by byte as asked, so that a mistake in our own issuer
cannot hide one in our verifier.
"""

import base64
import functools
import json
import secrets
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

HMAC_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
METHODS = [*HMAC_BYTES, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *CURVES, "EdDSA"]


@dataclass(frozen=True)
class Pair:
    """One signing key: `encoded` and `private_encoded` as the settings want them."""

    method: str
    signing: Any
    encoded: str
    private_encoded: str = ""

    def sign(self, payload: bytes, **header: Any) -> str:
        return jwt.PyJWS().encode(payload, self.signing, algorithm=self.method, headers=header)

    def sign_header(self, header: bytes, payload: bytes) -> str:
        """A token whose header is exactly these bytes, with a signature that is right."""
        signing_input = b".".join(map(b64url, (header, payload)))
        algorithm = jwt.PyJWS().get_algorithm_by_name(self.method)
        signature = algorithm.sign(signing_input, algorithm.prepare_key(self.signing))
        return b".".join((signing_input, b64url(signature))).decode()


def b64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def public_pem(private: Any) -> bytes:
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def private_pem(private: Any) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def hmac_pair(method: str, secret: bytes) -> Pair:
    return Pair(method, secret, encoded(secret))


def private_pair(method: str, private: Any) -> Pair:
    return Pair(method, private, encoded(public_pem(private)), encoded(private_pem(private)))


@functools.cache
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def ed448_pair() -> Pair:
    return private_pair("EdDSA", ed448.Ed448PrivateKey.generate())


def pair(method: str, number: int = 0) -> Pair:
    """A fresh pair for a method; RSA ones are made once for each `number`, being slow to make."""
    if method in HMAC_BYTES:
        return hmac_pair(method, secrets.token_bytes(HMAC_BYTES[method]))
    if method in CURVES:
        return private_pair(method, ec.generate_private_key(CURVES[method]()))
    if method == "EdDSA":
        return private_pair(method, ed25519.Ed25519PrivateKey.generate())
    return private_pair(method, rsa_key(number=number))


def payload(**claims: Any) -> bytes:
    """A connect payload that lives until 2100 unless `claims` say otherwise; None leaves out."""
    stated = {"scope": "connect", "exp": 4_102_444_800} | claims
    return json.dumps({name: value for name, value in stated.items() if value is not None}).encode()
