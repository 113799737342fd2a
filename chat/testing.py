"""For the tests of a project that publishes with `chat.api`: what it publishes is recorded, and
neither a server nor Redis is needed (docs/django-tests.md).

from chat.testing import PublicationsMixin

class OrderTests(PublicationsMixin, TestCase):
    def test_shipping(self):
        self.client.post("/orders/7/ship")
        self.assertPublished("order-7", "shipped", {"carrier": "DHL"})
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unittest import TestCase
from unittest.mock import ANY, patch

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.asyncio import async_unsafe

from chat import api
from chat.conf import settings
from chat.protocol import commands, ids
from chat.protocol.publication import Publication, Receipt


@dataclass(frozen=True, slots=True)
class Published:
    """`data` as a subscriber reads it from JSON. `store` in seconds, 0 for not stored, -1 for ever;
    `at`: when it is to be done, in UTC, None: now; `key` of a storage entry."""

    channel: str
    event: str
    data: Any
    store: int
    at: datetime | None
    key: str | None
    deduplication_id: str


class Publications:
    """What was published, in order. What was rolled back is not; in a transaction that goes on, as
    that of `TestCase` does, what was published in it is."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def __iter__(self) -> Iterator[Published]:
        return (entry.what for entry in self._entries if entry.stands())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def clear(self) -> None:
        self._entries.clear()

    def assert_published(
        self, channel: str, event: str, data: object = ANY, **fields: object
    ) -> Published:
        """Gives the newest publication to this channel, of this event and, where they are given,
        with these data and fields of Published. Raises AssertionError where there is none."""
        wanted = {"channel": channel, "event": event, **fields}
        for each in reversed(list(self)):
            given = all(getattr(each, name) == value for name, value in wanted.items())
            if given and _is_same(data, each.data):
                return each
        what = wanted if data is ANY else {**wanted, "data": data}
        raise AssertionError(f"Not published: {what}. {self._told()}")

    def assert_not_published(self, channel: str | None = None, event: str | None = None) -> None:
        """Raises AssertionError where something was published to this channel, of this event, or
        at all."""
        for each in self:
            if channel in (None, each.channel) and event in (None, each.event):
                raise AssertionError(f"Published: {each}.")

    def _told(self) -> str:
        return "\n  ".join(["Published:", *map(str, self)]) if len(self) else "Nothing was."

    def record(self, publication: Publication) -> Receipt:
        """In place of what delivers it."""
        connected = connections[settings.DATABASE]
        entry = _Entry(_published(publication), connected)
        self._entries.append(entry)
        if connected.in_atomic_block:
            connected.on_commit(entry.commit)
        else:
            entry.commit()
        return _receipt(entry.what)


class _Entry:
    """A publication, and the transaction that it is part of."""

    def __init__(self, what: Published, connected: BaseDatabaseWrapper) -> None:
        self.what = what
        self._committed = False
        self._connected = connected

    def commit(self) -> None:
        self._committed = True

    def stands(self) -> bool:
        """Whether it is not rolled back: a transaction that goes on has yet to call `commit`."""
        waiting = [each[1] for each in self._connected.run_on_commit]
        return self._committed or self.commit in waiting


@contextmanager
def recording() -> Iterator[Publications]:
    """Meanwhile, what `chat.api` publishes, also to storage and as reactions, is checked as ever,
    recorded and not done: every receipt has an id, and no message must exist to be reacted to."""
    publications = Publications()
    publish = async_unsafe(api.HOLDS_UP)(publications.record)
    apublish = sync_to_async(publications.record)
    with patch.multiple(api, _publish=publish, _apublish=apublish, _broker=lambda: None):
        yield publications


class PublicationsMixin(TestCase):
    """Records what each test publishes; stands before Django's own class: what `setUpTestData`
    publishes is recorded as well, and then forgotten."""

    publications: Publications

    @classmethod
    def setUpClass(cls) -> None:
        cls.publications = cls.enterClassContext(recording())
        super().setUpClass()

    def setUp(self) -> None:
        super().setUp()
        self.publications.clear()

    def assertPublished(
        self, channel: str, event: str, data: object = ANY, **fields: object
    ) -> Published:
        return self.publications.assert_published(channel, event, data, **fields)

    def assertNotPublished(self, channel: str | None = None, event: str | None = None) -> None:
        self.publications.assert_not_published(channel, event)


def _published(publication: Publication) -> Published:
    command = publication.command
    key, at = getattr(command, "key", None), getattr(command, "at", None)
    data = _data(command, publication)
    what = command.channel, publication.event, data, publication.store, at, key
    return Published(*what, publication.deduplication_id)


def _data(command: commands.Publish | commands.SetStorage | commands.React, of: Publication) -> Any:
    if not isinstance(command, commands.React):
        return json.loads(command.data or "null")
    reaction = {"messageId": command.message_id, "reaction": command.reaction}
    return {**reaction, "action": command.action, "uid": of.uid, "umd": json.loads(of.umd)}


def _receipt(what: Published) -> Receipt:
    id = ids.new_id(int(time.time() * 1000))
    if what.at is not None:
        return Receipt(what.channel, what.event, schedule_arn=id)
    has_id = not what.event.startswith("hotsock.")
    return Receipt(what.channel, what.event, id if has_id else None)


def _is_same(given: object, published: object) -> bool:
    """Whether it is, as it is or written as JSON."""
    return given == published or _written(given) == [published]


def _written(given: object) -> list[object]:
    with suppress(api.ProtocolError):
        return [json.loads(api._json(given))]
    return []
