"""Operations as the tests of the writer use them."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from chat.cluster.leases import RegisterNode
from chat.protocol import events
from chat.protocol.publication import Source
from chat.store.operations.connections import OpenConnection, SingleUse, Subscribe
from chat.store.operations.messages import PublishMessage, SetReaction
from chat.store.transaction import Operation
from chat.store.writer import commit

META = events.meta("jim", "null")


def store(channel: str, data: str = "null", *, seconds: int = -1) -> PublishMessage:
    return PublishMessage(channel, "chat", data.encode(), "jim", "null", META, seconds)


def ephemeral(
    channel: str, data: str, source: Source | None = None, id: str = ""
) -> PublishMessage:
    """As the server publishes it."""
    values = channel, "chat", data.encode(), None, "null", None, 0
    return PublishMessage(*values, source=source, id=id)


def react(
    channel: str, message: str, reaction: str = "👍", action: str = "add", uid: str = "jim"
) -> SetReaction:
    return SetReaction(channel, message, uid, "null", META, reaction, action)


def single_use(digest: str, seconds: float = 300) -> SingleUse:
    return SingleUse(digest, datetime.now(UTC) + timedelta(seconds=seconds))


def node(**changes: Any) -> RegisterNode:
    stated = {"id": new_id(), "host": "host", "pid": 1, "lease_seconds": 600}
    return RegisterNode(**stated | changes)


def opening(node_id: str, **changes: Any) -> OpenConnection:
    return OpenConnection(
        **{
            "id": new_id(),
            "node_id": node_id,
            "secret_hash": "0" * 64,
            "claims": "{}",
            "uid": "jim",
            "umd": "null",
            "address": "127.0.0.1",
            "user_agent": "",
            "max_seconds": 7200,
            **changes,
        }
    )


def new_id() -> str:
    return secrets.token_hex(13)


def do(*operations: Operation[Any]) -> list[Any]:
    """What each gives, in one transaction; none may be refused."""
    outcomes = commit(operations)
    for outcome in outcomes:
        assert not isinstance(outcome, Exception), outcome
    return outcomes


def subscribing(connection_id: str, channel: str, **changes: Any) -> Subscribe:
    stated = {"claims": "", "uid": "jim", "umd": "null", **changes}
    return Subscribe(connection_id, channel, **stated)


def publish_many(channel: str, count: int, size: int = 1) -> None:
    """As one transaction that publishes the numbers from 1 up, in strings of that size."""
    text = '"version":1,"kind":"message","event":"chat","store":-1,"uid":null'
    work = f'{{{text},"channel":"{channel}","data":"#"}}'
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO chat_outboxentry (channel, work) SELECT %s, replace(%s, '#',"
            " lpad(n::text, greatest(%s, length(n::text)), '0')) FROM generate_series(1, %s) AS n",
            [channel, work, size, count],
        )
