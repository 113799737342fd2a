"""Issue tokens from Python: `issue({"scope": "connect", "uid": "jim", ...})`.

The server accepts every token that this returns: its own parser checks the claims first. Where a
user has chosen a part of a name, `escape_name` makes the key of it.
"""

import time
from collections.abc import Mapping

from tokens import strict_json
from tokens.claims import TokenError, check_addressee, check_lifetime, parse_claims
from tokens.conf import settings
from tokens.names import MAX_TOKEN_BYTES
from tokens.patterns import escape_name
from tokens.signing import sign

__all__ = ["escape_name", "issue"]


def issue(claims: Mapping[str, object], *, lifetime: int = 300) -> str:
    """A signed token with `claims`, named as in protocol.md section 4.

    Fills in what is absent or None: `iat` (now), `exp` (`lifetime` seconds from now), and `aud`
    and `iss` where the settings expect them. Raises `TokenError` where a claim is invalid in one
    of the token's scopes, and `ImproperlyConfigured` where there is no key to sign with.
    """
    payload = _filled(claims, lifetime)
    try:
        document = strict_json.dumps(payload).encode()
    except (TypeError, ValueError, RecursionError):
        raise TokenError("payload", "must be JSON") from None
    leeway, longest = settings.TOKEN_LEEWAY_SECONDS, settings.TOKEN_MAX_SECONDS
    for scope in _scopes(payload):
        parsed = parse_claims(document, scope=scope)
        check_lifetime(parsed, now=time.time(), leeway=leeway, longest=longest)
        check_addressee(parsed, audience=settings.TOKEN_AUDIENCE, issuer=settings.TOKEN_ISSUER)
    token = sign(payload)
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenError("token", f"must have at most {MAX_TOKEN_BYTES} bytes, not {len(token)}")
    return token


def _filled(claims: Mapping[str, object], lifetime: int) -> dict[str, object]:
    now = int(time.time())
    defaults: dict[str, object] = {"iat": now, "exp": now + lifetime}
    if settings.TOKEN_AUDIENCE:
        defaults["aud"] = settings.TOKEN_AUDIENCE
    if settings.TOKEN_ISSUER:
        defaults["iss"] = settings.TOKEN_ISSUER
    return defaults | {name: value for name, value in claims.items() if value is not None}


def _scopes(payload: Mapping[str, object]) -> list[str]:
    """The token's scopes. Without any: connect, for which the parser reports the error."""
    scope = payload.get("scope")
    return (scope.split() if isinstance(scope, str) else []) or ["connect"]
