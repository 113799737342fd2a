"""What a person holds of each quota: a page, reached from what the person did."""

import pytest
from django.test import Client

from chat.models import Acknowledgement
from chat.store import usage
from chat.store.operations.acknowledgement import sender_of
from tests.admin import stored
from tests.admin.conftest import on_both, staff
from tests.admin.reading import Page, page_url
from tests.support.configuring import Setter

pytestmark = on_both


def acked(ack: str, sender: str, **time: float) -> None:
    Acknowledgement.objects.create(
        channel=stored.channel(), sender=sender, ack=ack, expires_at=stored.ahead(**time)
    )


def fill() -> None:
    """Jim holds two of each count, and 4 + 6 + 2 bytes of data, in three rows that count 104 beside
    it; the rest is not his, or not any more."""
    for uid, revoked in (("jim", False), ("jim", False), ("jim", True), ("pam", False)):
        stored.connection(uid, revoked=revoked)
    stored.message('"\u00e9"', at=stored.ago(minutes=3))
    stored.message('"expired"', at=stored.ago(minutes=2), expires_at=stored.ago(minutes=1))
    stored.message('"by the server"', at=stored.ago(minutes=1), by_server=True)
    stored.message('"of pam"', uid="pam")
    stored.entry("a", '"kept"')
    stored.entry("b", '""')
    stored.entry("cleared", "")
    stored.entry("expired", expires_at=stored.ago(hours=1))
    for uid in ("jim", "jim", "pam", None):
        row = stored.schedule()
        row.uid = uid
        row.save()
    for number, (uid, hours) in enumerate((("jim", 5), ("jim", 5), ("jim", -5), ("pam", 5))):
        acked(str(number), sender_of(uid, ""), hours=hours)


def test_a_page_says_what_a_person_holds_and_may(
    viewer: Client, set_chat: Setter, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_chat(QUOTA_STORED_BYTES=1_000_000, QUOTA_ACKS=0)
    monkeypatch.setattr(usage, "ROWS", 2)
    fill()
    message = stored.message('"x"', uid="jim")
    link = Page(viewer, page_url("message", message.id)).link("What jim holds")
    assert link is not None
    words = Page(viewer, link).words
    for line in (
        "connections 2 1,000",
        "stored bytes 431 1,000,000",
        "storage keys 2 10,000",
        "schedules 2 10,000",
        "acks 2 any number",
    ):
        assert line in words, words
    monkeypatch.setattr(usage, "MOST_QUERIES", 1)
    assert "stored bytes more than 324 1,000,000" in Page(viewer, link).words


def test_it_is_for_those_who_may_see_connections(rows: str) -> None:
    assert staff("mod", "view_message").get("/admin/chat/connection/person/").status_code == 403
