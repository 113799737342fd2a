"""Messages found by their text, in an index that the database keeps."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from chat.admin import messages
from chat.checks import NO_INDEX, search_is_built
from chat.models import Message
from chat.store.operations.removal import RemoveMessages
from tests.admin import stored
from tests.admin.conftest import on_both
from tests.admin.reading import Page, list_url
from tests.support.configuring import Setter
from tests.support.written import do, store

pytestmark = on_both


@pytest.fixture
def indexed(rows: str, set_chat: Setter) -> Iterator[None]:
    set_chat(MESSAGE_SEARCH=True)
    call_command("index_messages")
    yield
    call_command("index_messages", "--drop")


def found(client: Client, text: str, **asked: str) -> list[str]:
    return Page(client, list_url("message", text=text, **asked)).column("excerpt")


def test_what_was_there_before_and_what_comes_is_found(viewer: Client, set_chat: Setter) -> None:
    """The latest first, until it is deleted; in all words, whatever they mean elsewhere."""
    set_chat(MESSAGE_SEARCH=True)
    early = stored.message(r'"Hello\nearly world"', at=stored.ago(days=2))
    stored.message('{"text":"hello earlier Wörld"}', at=stored.ago(days=3), uid="pam")
    assert search_is_built(["default"]) == [NO_INDEX]
    call_command("index_messages")
    call_command("index_messages")
    assert search_is_built(["default"]) == []
    (late,) = do(store("chat-abc", '"hello late world"'))
    texts = ['"hello late world"', r'"Hello\nearly world"', '{"text":"hello earlier Wörld"}']
    assert found(viewer, "HELLO") == texts
    assert found(viewer, "hello world") == texts[:2]
    assert found(viewer, "early") == [texts[1]]
    assert found(viewer, "Wörld") == [texts[2]]
    assert found(viewer, "hello", uid="pam") == [texts[2]]
    assert found(viewer, "hello", until=f"{stored.ago(days=1):%Y-%m-%dT%H:%M}") == texts[1:]
    for harmless in ('"', "hello OR", "NEAR(hello", "hel*", "data:", "-", "' & !"):
        found(viewer, harmless)
    Message.objects.filter(id=early.id).update(hidden_at=stored.NOW)
    assert len(found(viewer, "hello")) == 3
    do(RemoveMessages(("chat-abc",), (late,)))
    early.delete()
    assert found(viewer, "hello") == [texts[2]]
    call_command("index_messages", "--drop")


def test_from_page_to_page(viewer: Client, indexed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages.MessageAdmin, "list_per_page", 3)
    stored.messages(7)
    for row in Message.objects.all():
        row.delete()
    for number in range(7):
        do(store("chat-abc", f'"word {number}"'))
    page = Page(viewer, list_url("message", text="word"))
    seen = [page.column("excerpt")]
    while link := page.link("Next page"):
        page = Page(viewer, link if link.startswith("/") else f"/admin/chat/message/{link}")
        seen.append(page.column("excerpt"))
    assert seen == [[f'"word {n}"' for n in of] for of in ((6, 5, 4), (3, 2, 1), (0,))]
    back = page.link("Previous page") or ""
    page = Page(viewer, back if back.startswith("/") else f"/admin/chat/message/{back}")
    assert page.column("excerpt") == seen[1]


def test_nothing_of_what_is_gone_is_left_in_the_index(viewer: Client, indexed: None) -> None:
    if connection.vendor == "postgresql":
        return  # its index holds words alone, and only as long as VACUUM has not come
    (id,) = do(store("chat-abc", '"unspeakable"'))
    with connection.cursor() as cursor:
        holds = "SELECT count(*) FROM chat_message_text_data WHERE instr(block, 'unspeakable')"
        assert cursor.execute(holds).fetchone()[0]
        do(RemoveMessages(("chat-abc",), (id,)))
        assert not cursor.execute(holds).fetchone()[0]
        assert not cursor.execute("SELECT count(*) FROM chat_message_text_row").fetchone()[0]


def test_without_the_setting_there_is_no_search(viewer: Client) -> None:
    call_command("index_messages")
    assert "All of these words" not in Page(viewer, list_url("message")).html
    assert viewer.get(list_url("message", text="x")).status_code == 302
    call_command("index_messages", "--drop")
