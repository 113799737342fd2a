"""Notifications: a connection that may do nothing, and a subscribe token for one's own channel."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from examples.backend import publish, serve, token

PEOPLE = ("ada", "bob")
KEPT_SECONDS = 24 * 3600
LONGEST_DELAY = 3600  # seconds


def connect_token(person: dict[str, str]) -> dict[str, str]:
    return token("connect", uid=known(person["uid"]))


def subscribe_token(wish: dict[str, str]) -> dict[str, str]:
    """For the channel of whoever asks, whichever was asked for, and for that connection alone."""
    grants = {"subscribe": True, "historyStart": 0}
    channels = {channel_of(wish["uid"]): grants}
    return token("subscribe", channels=channels, connectionId=wish["connectionId"])


def notify(wish: dict[str, Any]) -> object:
    """Now, or after a delay in seconds: then the chat server keeps it until its time."""
    message = {"channel": channel_of(wish["to"]), "event": "notice", "data": wish["text"]}
    if delay := min(max(int(wish["delay"]), 0), LONGEST_DELAY):
        moment = datetime.fromtimestamp(int(time.time()) + 1 + delay, UTC)
        message["scheduleExpression"] = f"at({moment:%Y-%m-%dT%H:%M:%S})"
    publish(**message, store=KEPT_SECONDS)
    return {}


def channel_of(uid: str) -> str:
    return f"user.{known(uid)}"


def known(uid: str) -> str:
    return PEOPLE[PEOPLE.index(uid)]


if __name__ == "__main__":
    answers = {"/token": connect_token, "/subscribe-token": subscribe_token, "/notify": notify}
    serve(Path(__file__).parent, 9004, answers)
