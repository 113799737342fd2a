"""The list of messages and the page of one: what a moderator reads there."""

import json

import pytest
from django.db import transaction
from django.test import Client

from chat.models import Message
from tests.admin import stored
from tests.admin.reading import Page, list_url, page_url


def test_a_row_says_who_said_what_where_and_when(viewer: Client) -> None:
    message = stored.message('{"text": "hi\\nthere"}', expires_at=stored.ahead(hours=5, minutes=1))
    stored.reaction(message, "pam", "👍")
    stored.reaction(message, "ann", "👍")
    stored.reaction(message, "bob", "❤️")
    stored.reaction(message, "eve", "👎", removed=True)
    [row] = Page(viewer, list_url("message")).rows
    assert row == {
        "time": f"{stored.NOW:%Y-%m-%d %H:%M:%S}",
        "channel_name": "chat-abc",
        "event_name": "chat",
        "sender": "jim",
        "excerpt": '{"text": "hi\\nthere"}',
        "reacted": "👍 2 · ❤️ 1",
        "expiry": "in 5 h",
    }


@pytest.mark.parametrize(
    ("columns", "column", "said"),
    [
        ({"expires_at": None}, "expiry", "never"),
        ({"expires_at": stored.ago(seconds=1)}, "expiry", "expired"),
        ({"uid": None}, "sender", "–"),
        ({"uid": None, "by_server": True}, "sender", "(server API)"),
    ],
)
def test_what_is_not_there_has_a_word(
    viewer: Client, columns: dict[str, object], column: str, said: str
) -> None:
    stored.message(**columns)
    assert Page(viewer, list_url("message")).column(column) == [said]


def test_the_latest_is_first_and_pages_go_on_by_id(viewer: Client) -> None:
    made = stored.messages(230)
    pages = [Page(viewer, list_url("message"))]
    while onward := pages[-1].link("Next page"):
        pages.append(Page(viewer, f"{list_url('message')[:-1]}{onward}"))
    assert [len(page.rows) for page in pages] == [100, 100, 30]
    shown = [text for page in pages for text in page.column("excerpt")]
    assert shown == [message.data for message in made]
    assert pages[0].link("Previous page") is None
    back = Page(viewer, f"{list_url('message')[:-1]}{pages[2].link('Previous page')}")
    assert back.rows == pages[1].rows


def test_a_filter_stays_from_page_to_page(viewer: Client) -> None:
    stored.messages(109)
    stored.message(uid="pam")
    page = Page(viewer, list_url("message", uid="jim"))
    onward = page.link("Next page")
    assert onward
    assert "uid=jim" in onward
    assert len(Page(viewer, f"{list_url('message')[:-1]}{onward}").rows) == 9


def test_a_row_leads_to_its_page_and_back_to_what_was_asked(viewer: Client) -> None:
    stored.message()
    asked = list_url("message", channel="chat-abc", uid="jim")
    way = Page(viewer, asked).link(f"{stored.NOW:%Y-%m-%d %H:%M:%S}")
    assert way is not None
    assert Page(viewer, way).link("Back to the list") == asked


def test_a_row_can_be_ticked_by_whoever_may_act(viewer: Client, moderator: Client) -> None:
    id = stored.message().id
    name = f'value="{id}" aria-label="Select this object for an action - {id}"'
    assert name in Page(moderator, list_url("message")).html
    assert name not in Page(viewer, list_url("message")).html


def test_what_cannot_be_asked_is_refused_not_ignored(viewer: Client) -> None:
    stored.message()
    for asked in ({"data__contains": "x"}, {"channel__name": "c"}, {"chanel": "c"}):
        answer = viewer.get(list_url("message", **asked))
        assert (answer.status_code, answer["Location"]) == (302, "/admin/chat/message/?e=1")


def test_a_time_that_is_none_is_said_to_be_none(viewer: Client) -> None:
    stored.message()
    page = Page(viewer, list_url("message", since="yesterday"))
    assert "Enter a valid date/time." in page.words
    assert page.rows == []


def test_a_channel_or_person_is_a_click_away(viewer: Client) -> None:
    stored.message(to="chat-a&b", uid="jim+1")
    page = Page(viewer, list_url("message"))
    for words in ("chat-a&b", "jim+1", "chat"):
        link = page.link(words)
        assert link
        assert len(Page(viewer, link).rows) == 1


# --- the page of one message --------------------------------------------------------------------


def test_the_page_of_a_message(viewer: Client) -> None:
    message = stored.message('{"n":18446744073709551616,"n":1.10}', umd='{"name":"Jim"}')
    stored.reaction(message, "pam", "👍", umd='{"k":1}', created_at=stored.ago(hours=1))
    stored.reaction(message, "eve", "👎", removed=True)
    page = Page(viewer, page_url("message", message.id))
    assert '{\n  "n": 18446744073709551616,\n  "n": 1.10\n}' in page.fields["content"]
    assert '"name": "Jim"' in page.fields["metadata"]
    assert message.id in page.fields["id"]
    assert "never" in page.fields["expiry_time"]
    lines = " ".join(page.fields["reactions"].split())
    assert f'👍 pam {{"k":1}} {stored.ago(hours=1):%Y-%m-%d %H:%M:%S}' in lines
    assert f"👎 eve null {stored.NOW:%Y-%m-%d %H:%M:%S} (taken back)" in lines


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>{{ 7|add:1 }}"


def test_nothing_that_was_said_is_rendered(viewer: Client) -> None:
    data = json.dumps(HOSTILE)
    message = stored.message(data, to="<b>c</b>", uid="<i>u</i>", event="<u>e</u>", umd=data)
    stored.reaction(message, "<s>r</s>", "<b>")
    for url in (
        list_url("message"),
        page_url("message", message.id),
        list_url("reaction"),
        list_url("channel"),
        page_url("channel", message.channel_id),
        list_url("message", channel="<b>c</b>", uid="<i>u</i>", q='"><script>'),
    ):
        html = Page(viewer, url).html
        for tag in ("<script>alert", "<img src=x", "<b>", "<i>", "<u>", "<s>", '"><script>'):
            assert tag not in html, url
    page = Page(viewer, page_url("message", message.id))
    assert data in page.fields["content"]


@pytest.mark.parametrize(
    "data",
    [
        json.dumps("x" * 32_000),
        "[" * 100 + "1," * 16_000 + "1" + "]" * 100,
        "no { JSON ] at all \\",
        "",
    ],
    ids=["long", "deep", "not JSON", "empty"],
)
def test_any_data_can_be_looked_at(viewer: Client, data: str) -> None:
    message = stored.message(data)
    page = Page(viewer, page_url("message", message.id))
    assert "".join(data.split()) in "".join(page.fields["content"].split())
    assert len(page.html) < 2_000_000
    excerpt = Page(viewer, list_url("message")).rows[0]["excerpt"]
    assert len(excerpt) <= 101


def test_a_list_reads_no_more_of_a_message_than_it_shows(viewer: Client) -> None:
    stored.message(json.dumps("x" * 30_000))
    [row] = viewer.get(list_url("message")).context["cl"].result_list
    assert row.get_deferred_fields() >= {"data", "umd"}
    assert 100 < len(row.beginning) < 1000


def test_a_message_with_very_many_reactions_links_to_the_rest(viewer: Client) -> None:
    message = stored.message()
    with transaction.atomic():
        for number in range(205):
            stored.reaction(message, f"user-{number}")
    page = Page(viewer, page_url("message", message.id))
    assert "user-199" in page.fields["reactions"]
    assert "user-200" not in page.fields["reactions"]
    link = page.link("All reactions")
    assert link
    assert len(Page(viewer, link).rows) == 100


def test_a_message_that_is_gone(viewer: Client) -> None:
    message = stored.message()
    url = page_url("message", message.id)
    Message.objects.all().delete()
    assert viewer.get(url).status_code == 302
