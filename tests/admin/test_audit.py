"""The audit log: what moderators did, found by whom, to whom, what and when."""

import json
from typing import Any

import pytest
from django.test import Client

from chat.models import AuditEntry
from chat.store.outbox import TakeEntries
from tests.admin import stored
from tests.admin.conftest import on_both, staff
from tests.admin.reading import Page, list_url, tick
from tests.support.written import do

pytestmark = on_both

ACTS: dict[str, tuple[str, str, Any, str]] = {
    "message": ("delete message", "delete_selected", stored.message, "chat-abc"),
    "storageentry": ("clear storage entry", "delete_selected", stored.entry, "chat-abc"),
    "schedule": ("cancel schedule", "cancel_selected", stored.schedule, "chat-abc"),
    "connection": ("disconnect", "close_selected", stored.connection, ""),
}


@pytest.mark.parametrize("model", ACTS)
def test_an_entry_says_who_did_what_to_whom(moderator: Client, model: str) -> None:
    act, action, make, channel = ACTS[model]
    row = make()
    tick(moderator, list_url(model), action, [row.pk], post="yes")
    do(TakeEntries("chat-abc"))
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.address, entry.action) == ("admin moderator", "127.0.0.1", act)
    assert (entry.uid, entry.channel) == ("jim", channel)
    assert str(row) in json.loads(entry.detail).values()


def test_entries_are_found_by_each_question(rows: str) -> None:
    auditor = staff("auditor", "view_auditentry")
    stored.audit_entry(stored.ago(days=2))
    stored.audit_entry(uid="pam", actor="command")
    stored.audit_entry(uid="pam", action="ban")
    assert Page(auditor, list_url("auditentry")).column("whom") == ["pam", "pam", "eve"]
    day_ago = f"{stored.ago(days=1):%Y-%m-%dT%H:%M}"
    for asked, found in (
        ({"uid": "pam"}, ["pam", "pam"]),
        ({"uid": "pam", "since": day_ago, "actor": "command"}, ["pam"]),
        ({"uid": "pam", "until": day_ago}, []),
        ({"act": "ban"}, ["pam"]),
        ({"actor": "command"}, ["pam"]),
        ({"since": day_ago}, ["pam", "pam"]),
        ({"until": day_ago}, ["eve"]),
        ({"until": "soon"}, []),
    ):
        assert Page(auditor, list_url("auditentry", **asked)).column("whom") == found
