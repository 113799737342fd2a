"""Tokens that no honest issuer makes, rightly signed."""

import base64
import hashlib
import hmac

from tests.support.servers import Server


def forge(server: Server, token: str, old: str, new: str) -> str:
    """`token` with `old` in its payload's text replaced by `new`, signed again (HS256)."""
    header, payload, _ = token.split(".")
    text = base64.urlsafe_b64decode(f"{payload}==").decode()
    assert old in text
    signed = f"{header}.{encoded(text.replace(old, new).encode())}"
    key = base64.b64decode(server.env["SIGNING_KEY_1_ENCODED"])
    signature = hmac.digest(key, signed.encode(), hashlib.sha256)
    return f"{signed}.{encoded(signature)}"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
