"""`chat.testing`: what a project's tests see of what it publishes (docs/django-tests.md)."""

import re
import unittest
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from unittest.mock import ANY

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.test import SimpleTestCase, TestCase

from chat import api
from chat.models import Message
from chat.testing import Publications, PublicationsMixin, Published, recording
from tests.support.servers import ROOT

pytest_plugins = ["chat.pytest_plugin"]

PAGE = (ROOT / "docs/django-tests.md").read_text("utf-8")


class TestWithoutDatabase(PublicationsMixin, SimpleTestCase):
    def test_what_is_published_is_recorded(self) -> None:
        at = datetime(2999, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
        receipt = api.publish("news", "hello", {"price": Decimal("1.10"), "at": at}, store=60)
        later = api.publish("news", "hello", at=at, deduplication_id="once")
        api.set_storage("news", "k", None)
        api.react("news", "0" * 26, "👍", "jim")
        assert receipt.id
        assert later.schedule_arn
        due = datetime(2999, 1, 1, tzinfo=UTC)
        data = {"price": "1.10", "at": ANY}
        reaction = {"messageId": "0" * 26, "reaction": "👍", "action": "add"}
        assert list(self.publications) == [
            Published("news", "hello", data, 60, None, None, ""),
            Published("news", "hello", None, 0, due, None, "once"),
            Published("news", "hotsock.channelStorageSet", None, -1, None, "k", ""),
            Published(
                *("news", "hotsock.messageReaction", {**reaction, "uid": "jim", "umd": None}),
                *(0, None, None, ""),
            ),
        ]
        first = self.assertPublished("news", "hello", {"price": Decimal("1.10"), "at": at})
        assert first.store == 60

    def test_each_test_begins_with_none(self) -> None:
        self.assertNotPublished()
        api.publish("news", "hello")
        self.assertPublished("news", "hello", None)

    def test_what_is_wrong_is_told(self) -> None:
        for arguments in (("a b", "hello"), ("news", "*"), ("news", "hello", "x" * 32_767)):
            with pytest.raises(api.ProtocolError):
                api.publish(*arguments)
        self.assertNotPublished()

    def test_a_failure_tells_what_was_published(self) -> None:
        with pytest.raises(AssertionError, match="Nothing was"):
            self.assertPublished("news", "hello")
        api.publish("news", "hello", {"a": 1})
        with pytest.raises(AssertionError, match=r"'data': 7(.|\n)*'a': 1"):
            self.assertPublished("news", "hello", 7)
        with pytest.raises(AssertionError, match="store"):
            self.assertPublished("news", "hello", {"a": 1}, store=-1)
        for where in ((), ("news",), ("news", "hello"), (None, "hello")):
            with pytest.raises(AssertionError, match="'a': 1"):
                self.assertNotPublished(*where)
        self.assertNotPublished("other")
        self.assertNotPublished("news", "other")


class TestInTransaction(PublicationsMixin, TestCase):
    @classmethod
    def setUpTestData(cls) -> None:
        api.publish("before", "hello")

    def test_what_is_published_before_is_forgotten(self) -> None:
        self.assertNotPublished()

    def test_what_is_rolled_back_is_not_published(self) -> None:
        api.publish("news", "outside")
        with suppress(LookupError), transaction.atomic():
            api.publish("news", "inside")
            self.assertPublished("news", "inside")
            raise LookupError
        assert [each.event for each in self.publications] == ["outside"]

    def test_what_waits_for_the_commit_is_published_with_it(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            transaction.on_commit(lambda: api.publish("news", "hello"))
            self.assertNotPublished()
        self.assertPublished("news", "hello")
        assert not Message.objects.exists()

    def test_the_asynchronous_face(self) -> None:
        async_to_sync(api.apublish)("news", "hello", 1)
        self.assertPublished("news", "hello", 1)


def test_of_real_transactions_those_count_that_commit(database: str, channel: str) -> None:
    with recording() as publications:
        with suppress(LookupError), transaction.atomic():
            api.publish(channel, "undone", store=-1)
            raise LookupError
        with transaction.atomic():
            api.publish(channel, "done", store=-1)
        api.publish(channel, "done", store=-1)
        assert [each.event for each in publications] == ["done", "done"]
    assert not Message.objects.of(channel).exists()
    api.publish(channel, "chat", store=-1)
    assert Message.objects.of(channel).exists()


async def test_the_fixture(publications: Publications, sqlite: None) -> None:
    with pytest.raises(SynchronousOnlyOperation):
        api.publish("news", "hello")
    await api.apublish("news", "hello")
    publications.assert_published("news", "hello")


def test_the_page_s_example_passes(db: None) -> None:
    [code] = re.findall(r"^```python\n(# orders/tests.py\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    module: dict[str, Any] = {"__name__": "orders.tests"}
    exec(code, module)  # noqa: S102
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(module["ShippingTests"])
    outcome = unittest.TestResult()
    tests.run(outcome)
    assert outcome.testsRun == 2
    assert outcome.wasSuccessful(), outcome.failures + outcome.errors
