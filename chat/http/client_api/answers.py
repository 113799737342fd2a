"""What every operation gives, and the answer that most of them share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from msgspec import json

from chat.protocol.session import Session
from chat.runtime.node import Node


@dataclass(slots=True, frozen=True)
class Answer:
    body: bytes
    status: int = 200


Operation = Callable[[Node, Session, str], Awaitable[Answer]]


def accepted(channel: str, event: str, **more: str | None) -> Answer:
    """202 with the real name of the channel, the event, and what else there is."""
    named = {"channel": channel, "event": event}
    return Answer(json.encode(named | {key: value for key, value in more.items() if value}), 202)
