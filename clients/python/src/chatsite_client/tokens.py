"""Tokens for the site's users (protocol.md sections 3 and 4), signed with the site's key."""

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SECRET_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
MIN_RSA_BITS: Final = 2048
METHODS: Final = frozenset({*SECRET_BYTES, *RSA, "ES256", "ES384", "ES512", "EdDSA"})

# Beside those that are arguments of issue_token.
CLAIMS: Final = frozenset(
    {"aud", "iss", "nbf", "jti", "connectionId", "keepAlive", "heartbeatTimeout", "singleUse"}
    | {"umdUpdate", "umdPropagate"}
)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Signs what the server's SIGNING_KEY_1 or _2 verifies. Raises ValueError.

    `encoded` is the Base64 of the secret (the server's own SIGNING_KEY_1_ENCODED) or of the PEM
    private key without password (its ISSUER_PRIVATE_KEY_ENCODED); `id` is the `kid`, "" for none.
    """

    method: str
    encoded: str = field(repr=False)
    id: str = ""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(sorted(METHODS))}.")
        try:
            self.sign({})
        except (ValueError, TypeError, AttributeError, jwt.PyJWTError):
            raise ValueError(f"encoded must be {self._needed}, in Base64.") from None

    def sign(self, claims: Mapping[str, Any]) -> str:
        headers = {"kid": self.id} if self.id else None
        return jwt.encode(dict(claims), self._material(), self.method, headers)

    @property
    def _needed(self) -> str:
        size = SECRET_BYTES.get(self.method)
        return f"a secret of at least {size} bytes" if size else f"a private key for {self.method}"

    def _material(self) -> Any:
        raw = base64.b64decode("".join(self.encoded.split()), validate=True)
        is_secret = self.method in SECRET_BYTES
        key: Any = raw if is_secret else load_pem_private_key(raw, password=None)
        if is_secret and len(raw) < SECRET_BYTES[self.method]:
            raise ValueError(self._needed)
        if self.method in RSA and key.key_size < MIN_RSA_BITS:
            raise ValueError(self._needed)
        return key


def issue_token(
    key: SigningKey,
    *,
    uid: str | None = None,
    channels: Mapping[str, Any] | None = None,
    umd: Any = None,
    scope: str = "connect",
    expires_in: float = 300,
    **claims: Any,
) -> str:
    """A token that may be used for `expires_in` seconds. `channels` and what else it claims are
    named as in section 4: `issue_token(key, uid="ada", channels={"news": {"subscribe": True}},
    keepAlive=True)`. None counts as absent. Raises TypeError for a claim that there is not."""
    if unknown := claims.keys() - CLAIMS:
        raise TypeError(f"There is no claim {', '.join(sorted(unknown))}.")
    now = int(time.time())
    stated = {"uid": uid, "channels": channels, "umd": umd, "scope": scope, **claims}
    payload = {name: value for name, value in stated.items() if value is not None}
    return key.sign({"iat": now, "exp": now + expires_in, **payload})
