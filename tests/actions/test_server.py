"""What the server itself publishes, as operations (protocol.md section 15)."""

import json

import pytest

from chat.actions.server import operation_of
from chat.protocol.publication import parse
from chat.protocol.sources import Source
from chat.store.operations import AddSchedule

SOURCE = Source("server.http", address="192.0.2.1")


@pytest.mark.parametrize("emits", [True, False])
@pytest.mark.parametrize("event", ["chat", "hotsock.channelStorageSet"])
def test_whoever_listens_at_its_time_is_told_of_what_was_scheduled(event: str, emits: bool) -> None:
    """Though nobody listened in the process that scheduled it, at that time."""
    asked = {
        "channel": "c",
        "event": event,
        "key": "k",
        "data": 1,
        "emitPubSubEvent": emits,
        "scheduleExpression": "at(2100-01-01T00:00:00)",
    }
    what = operation_of(parse(json.dumps(asked)), SOURCE).what
    assert isinstance(what, AddSchedule)
    assert what.work.source == (SOURCE if emits else None)
