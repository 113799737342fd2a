"""No page asks the database more than eight times, whatever it shows; none counts the table."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat.admin import paging
from chat.models import Member, Schedule, StorageEntry
from tests.admin import stored
from tests.admin.conftest import VIEWED, clear
from tests.admin.reading import list_url, page_url, tick

MOST = 8  # those for the session, the user and the rights among them


@pytest.fixture(scope="module")
def shown(database: str) -> dict[str, Any]:
    """Stored once: no test here minds what another adds."""
    clear()
    with transaction.atomic():
        return store()


@pytest.fixture
def rows(database: str, shown: dict[str, Any]) -> Iterator[str]:
    """A test's own users are gone with it."""
    with transaction.atomic():
        yield database
        transaction.set_rollback(True)


def store() -> dict[str, Any]:
    """More than a page of everything."""
    messages = [
        stored.message(to=f"chat-{number % 120}", expires_at=stored.ahead(hours=1))
        for number in range(150)
    ]
    for message in messages:
        stored.reaction(message)
    connections = [stored.connection() for _ in range(110)]
    for number, opened in enumerate(connections):
        stored.subscription(opened, f"chat-{number}")
    for number in range(110):
        stored.entry(to=f"chat-{number}")
        stored.member(of=f"presence.{number}")
        stored.schedule(to=f"chat-{number}")
    restricted = [stored.restriction() for _ in range(110)]
    audited = [stored.audit_entry() for _ in range(110)]
    return {
        "storageentry": StorageEntry.objects.all()[0],
        "member": Member.objects.all()[0],
        "schedule": Schedule.objects.all()[0],
        "message": messages[0],
        "channel": messages[0].channel,
        "reaction": messages[0].reactions.get(),
        "connection": connections[0],
        "subscription": connections[0].subscriptions.get(),
        "node": connections[0].node,
        "auditentry": audited[0],
        "restriction": restricted[0],
    }


EVERYTHING = {
    "q": "jim",
    "channel": "chat-1",
    "uid": "jim",
    "event": "chat",
    "state": "live",
    "since": "2020-01-01T00:00",
    "until": "2090-01-01T00:00",
}
LISTS: dict[str, Callable[[], str]] = {
    "messages": lambda: list_url("message"),
    "messages, all that can be asked": lambda: list_url("message", **EVERYTHING),
    "messages, a search": lambda: list_url("message", q="chat-1", state="expired"),
    "channels": lambda: list_url("channel"),
    "channels, a search": lambda: list_url("channel", q="chat-1"),
    "connections": lambda: list_url("connection"),
    "connections, a search": lambda: list_url("connection", q="jim"),
    "reactions": lambda: list_url("reaction"),
    "reactions of a channel": lambda: list_url("reaction", channel="chat-1"),
    "subscriptions": lambda: list_url("subscription"),
    "subscriptions of a channel": lambda: list_url("subscription", channel="chat-1"),
    "nodes": lambda: list_url("node"),
    "storage": lambda: list_url("storageentry"),
    "storage of a channel": lambda: list_url("storageentry", channel="chat-1", q="chat"),
    "storage, a search": lambda: list_url("storageentry", q="chat"),
    "members": lambda: list_url("member"),
    "members of a channel": lambda: list_url("member", channel="presence.1"),
    "members, a search": lambda: list_url("member", q="presence."),
    "schedules": lambda: list_url("schedule"),
    "schedules of a channel": lambda: list_url("schedule", channel="chat-1"),
    "schedules, a search": lambda: list_url("schedule", q="chat"),
    "restrictions": lambda: list_url("restriction"),
    "audit log": lambda: list_url("auditentry"),
    "audit log, a search": lambda: list_url("auditentry", uid="jim", act="ban", actor="admin a"),
}


def queries(client: Client, url: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in captured.captured_queries]


@pytest.mark.parametrize("url", LISTS.values(), ids=LISTS)
def test_a_list(
    viewer: Client,
    shown: dict[str, Any],
    url: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # so that where a page ends must be found out, too
    monkeypatch.setattr(paging, "SCAN_LIMIT", 20)
    asked = queries(viewer, url())
    assert len(asked) <= MOST, asked
    assert not [sql for sql in asked if sql.startswith("SELECT COUNT")]


@pytest.mark.parametrize("model", VIEWED)
@pytest.mark.parametrize("page", ["change", "history"])
def test_a_page(viewer: Client, shown: dict[str, Any], model: str, page: str) -> None:
    assert len(queries(viewer, page_url(model, shown[model].pk, page))) <= MOST


def test_reactions_are_counted_once_for_a_whole_page(viewer: Client, shown: dict[str, Any]) -> None:
    asked = queries(viewer, list_url("message"))
    assert len([sql for sql in asked if "chat_reaction" in sql]) == 1


def test_the_front_page(viewer: Client, shown: dict[str, Any]) -> None:
    assert len(queries(viewer, "/admin/")) <= MOST


def test_deleting_another_message_of_a_page_takes_two_more(
    moderator: Client, shown: dict[str, Any]
) -> None:
    counts = []
    for many in (1, 1, 90):  # the first one may learn of content types
        with transaction.atomic():
            ids = [stored.message(to=f"chat-{number}").id for number in range(many)]
        with CaptureQueriesContext(connection) as captured:
            answer = tick(moderator, list_url("message"), "delete_selected", ids, post="yes")
        assert answer.status_code == 302
        counts.append(len(captured))
    assert counts[2] <= counts[1] + 2 * 89
