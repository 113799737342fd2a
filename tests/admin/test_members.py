"""Who is in the presence channels: found by channel, to look at only."""

import pytest
from django.test import Client

from tests.admin import stored
from tests.admin.conftest import on_both
from tests.admin.reading import Page, list_url, page_url

pytestmark = on_both

UMD = '{"name":"<script>alert(1)</script>"}'


def test_a_row_says_who_is_where(viewer: Client) -> None:
    stored.member("jim", umd=UMD, changed_at=stored.ago(hours=1))
    stored.member("pam", removed=True)
    page = Page(viewer, list_url("member"))
    assert page.rows == [
        {
            "uid": "jim",
            "channel_name": "presence.abc",
            "excerpt": UMD,
            "changed": f"{stored.ago(hours=1):%Y-%m-%d %H:%M:%S}",
        }
    ]
    assert "<script>alert(1)" not in page.html


def test_nobody_is_a_state_too(viewer: Client) -> None:
    stored.member(removed=True)
    for asked in ({}, {"channel": "presence.abc"}, {"q": "presence."}):
        assert "Nothing here." in Page(viewer, list_url("member", **asked)).words


def test_a_page_shows_the_metadata_as_text(viewer: Client) -> None:
    member, gone = stored.member("jim", umd=UMD), stored.member("pam", removed=True)
    page = Page(viewer, page_url("member", member.pk))
    assert '{\n  "name": "<script>alert(1)</script>"\n}' in page.fields["metadata"]
    assert "<script>alert(1)" not in page.html
    assert "present" in page.fields["state"]
    assert "has left" in Page(viewer, page_url("member", gone.pk)).fields["state"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["eve", "ann", "pam", "jim"]),
        ({"channel": "presence.a"}, ["ann", "jim"]),
        ({"q": "presence.a"}, ["ann", "jim", "pam"]),
        ({"q": "presence."}, ["ann", "jim", "pam", "eve"]),
        ({"q": "a"}, []),
    ],
)
def test_what_can_be_asked(viewer: Client, asked: dict[str, str], found: list[str]) -> None:
    for uid, name in (("jim", "a"), ("pam", "ab"), ("ann", "a"), ("eve", "b")):
        stored.member(uid, of=f"presence.{name}")
    assert Page(viewer, list_url("member", **asked)).column("uid") == found


def test_a_channel_leads_to_its_members(viewer: Client) -> None:
    member = stored.member("jim", of="presence.b")
    stored.member("pam", of="presence.c")
    page = Page(viewer, page_url("channel", member.channel_id))
    assert Page(viewer, page.link("Who is in") or "").column("uid") == ["jim"]
