"""Backend events: what the application's own backend is sent (protocol.md section 16)."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from msgspec import Raw, json

from chat.protocol import events, ids
from chat.protocol.publication import Source

Time = datetime | str
"""A time as the database's driver takes and gives it: SQLite's is text, which compares as text."""


@dataclass(frozen=True)
class Report:
    """A backend event. `stream` is what keeps its order: a channel's name or a connection's id;
    `raw` is its data as JSON."""

    type: str
    data_type: str
    stream: str
    metadata: dict[str, str]
    raw: bytes

    @cached_property
    def id(self) -> str:
        """The `webhook-id`: the same at every attempt to deliver it."""
        return f"msg_{new_id()}"

    @cached_property
    def data(self) -> Any:
        """The data, parsed."""
        return json.decode(self.raw)

    @cached_property
    def body(self) -> bytes:
        """The whole event as JSON."""
        fields = {"source": "hotsock.v1", "type": self.type, "metadata": self.metadata}
        return json.encode({**fields, "data": Raw(self.raw), "dataType": self.data_type})


def request(source: Source | None) -> dict[str, str]:
    """The metadata about the request that made a change; "" where there was none."""
    return {
        "connectionId": source.connection_id if source else "",
        "sourceIp": source.address if source else "",
        "trigger": source.trigger if source else "",
        "userAgent": source.user_agent if source else "",
    }


def instant(moment: Time | None) -> str | None:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return None if moment is None else events.instant(moment)


def raw(text: bytes | str | None) -> Raw:
    """JSON that is sent as it is; null for None."""
    return Raw(text or b"null")


def new_id() -> str:
    return ids.new_id(int(time.time() * 1000))
