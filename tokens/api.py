"""Issue tokens from Python: `issue({"scope": "connect", "uid": "jim", ...})`.

What this returns, this server accepts: the claims pass its own parser before they are signed.
"""

import time
from collections.abc import Mapping

from tokens import strict_json
from tokens.claims import TokenError, check_addressee, parse_claims
from tokens.conf import settings
from tokens.names import MAX_TOKEN_BYTES
from tokens.signing import sign


def issue(claims: Mapping[str, object], *, lifetime: int = 300) -> str:
    """A signed token with `claims` (protocol.md section 4), as they are in the token's JSON.

    Fills in what is absent or None: `iat` (now), `exp` (`lifetime` seconds from now), and `aud`
    and `iss` where the settings expect them. Raises `TokenError` where a claim is refused in one
    of the token's scopes, `ImproperlyConfigured` where there is no key to sign with.
    """
    payload = _filled(claims, lifetime)
    try:
        document = strict_json.dumps(payload).encode()
    except (TypeError, ValueError, RecursionError):
        raise TokenError("payload", "must be JSON") from None
    for scope in _scopes(payload):
        parsed = parse_claims(document, scope=scope)
        check_addressee(parsed, audience=settings.TOKEN_AUDIENCE, issuer=settings.TOKEN_ISSUER)
    token = sign(payload)
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenError("token", f"must have at most {MAX_TOKEN_BYTES} bytes, not {len(token)}")
    return token


def _filled(claims: Mapping[str, object], lifetime: int) -> dict[str, object]:
    now = int(time.time())
    defaults = {
        "iat": now,
        "exp": now + lifetime,
        "aud": settings.TOKEN_AUDIENCE or None,
        "iss": settings.TOKEN_ISSUER or None,
    }
    stated = {name: value for name, value in claims.items() if value is not None}
    return {name: value for name, value in defaults.items() if value is not None} | stated


def _scopes(payload: Mapping[str, object]) -> list[str]:
    """The scopes to check for; connect where there is none, for the parser's own words."""
    scope = payload.get("scope")
    return scope.split() if isinstance(scope, str) and scope.split() else ["connect"]
