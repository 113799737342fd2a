"""Tokens' `channels`, as the wire tests need them (protocol.md section 4)."""

from typing import Any

STORED: dict[str, Any] = {"publish": True, "echo": True, "store": -1, "react": True}
PASSING: dict[str, Any] = {"publish": True}
CHAT = {"chat": STORED, "typing": PASSING}


def room(
    channel: str, messages: dict[str, dict[str, Any]] | None = None, **directives: Any
) -> dict[str, dict[str, Any]]:
    """Leave to subscribe and, unless `messages` says otherwise, to chat: `chat` is stored for
    ever and comes back to its sender, `typing` is neither."""
    granted = CHAT if messages is None else messages
    return {channel: {"subscribe": True, "messages": granted, **directives}}
