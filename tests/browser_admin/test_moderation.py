"""A moderator finds what was said a moment ago, reads who reacted, and takes it away."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser_admin.chat import Chat, uid_in
from tests.browser_admin.conftest import Open
from tests.support.servers import Server


@pytest.fixture
def chat(open_page: Open, chat_server: Server) -> Chat:
    """Jim has said two things; Pam likes the second."""
    chat = Chat(open_page(base_url=chat_server.url))
    chat.say("jim", "a friendly word")
    chat.say("jim", "a bad word")
    chat.react("pam", "a bad word", "👍")
    return chat


def find(admin: Page, channel: str) -> None:
    admin.get_by_role("link", name="Messages").first.click()
    admin.get_by_placeholder("A channel or a uid, in full").fill(channel)
    admin.get_by_role("button", name="Search").click()
    admin.wait_for_url(f"**/?q={channel}")


def shows(admin: Page, column: str, *texts: str) -> None:
    """Waits until the list has exactly these rows, in this order."""
    expect(admin.locator(f"#result_list .field-{column}")).to_have_text(list(texts))


def test_a_message_is_found_read_and_deleted(log_in: Open, chat: Chat) -> None:
    admin = log_in("root")
    find(admin, chat.channel)
    shows(admin, "excerpt", '"a bad word"', '"a friendly word"')
    shows(admin, "reacted", "👍 1", "")
    admin.locator("#result_list th a").first.click()
    expect(admin.locator("pre").last).to_have_text('"a bad word"')
    expect(admin.locator(".field-reactions tbody td").nth(0)).to_have_text("👍")
    expect(admin.locator(".field-reactions tbody td").nth(1)).to_have_text("pam")
    admin.get_by_role("button", name="Delete").click()
    expect(admin.locator("#content")).to_contain_text("Messages: 1")
    expect(admin.locator("#content")).to_contain_text("Reactions: 1")
    admin.get_by_role("button", name="Yes, I’m sure").click()
    expect(admin.locator(".messagelist")).to_contain_text("deleted successfully")
    shows(admin, "excerpt", '"a friendly word"')
    for uid in ("jim", "pam"):  # on the open page, too
        expect(chat.bubbles(uid)).to_have_text(["a friendly word"])


def test_those_that_are_ticked_are_deleted_together(log_in: Open, chat: Chat) -> None:
    chat.say("pam", "a last word")
    admin = log_in("root")
    find(admin, chat.channel)
    for box in admin.locator(".action-select").all()[:2]:
        box.check()
    expect(admin.locator(".action-counter")).to_have_text("2 of 3 selected")
    admin.get_by_label("Action:").select_option("Delete selected messages")
    admin.get_by_role("button", name="Run").click()
    expect(admin.locator("#content")).to_contain_text("Messages: 2")
    expect(admin.locator("#content")).to_contain_text("Reactions: 1")
    admin.get_by_role("button", name="Yes, I’m sure").click()
    expect(admin.locator(".messagelist")).to_contain_text("Successfully deleted 2 messages.")
    chat.page.reload()
    chat.until_live()
    expect(chat.bubbles("jim")).to_have_text(["a friendly word"])


def test_who_may_only_look_finds_it_and_no_button(log_in: Open, chat: Chat) -> None:
    admin = log_in("viewer")
    find(admin, chat.channel)
    shows(admin, "excerpt", '"a bad word"', '"a friendly word"')
    expect(admin.get_by_label("Action:")).to_have_count(0)
    expect(admin.locator("input[type=checkbox]")).to_have_count(0)
    admin.locator("#result_list th a").first.click()
    expect(admin.locator(".field-reactions tbody td").nth(1)).to_have_text("pam")
    expect(admin.get_by_role("button", name="Delete")).to_have_count(0)
    expect(admin.get_by_role("button", name="Back to the list")).to_be_visible()


def test_a_person_a_state_and_a_time_narrow_the_list(log_in: Open, chat: Chat) -> None:
    chat.say("pam", "by Pam")
    admin = log_in("viewer")
    find(admin, chat.channel)
    admin.get_by_label("Uid").fill("pam")
    admin.get_by_label("State").select_option("Live")
    admin.get_by_label("From (UTC)").fill("2020-01-01T00:00")
    admin.get_by_role("button", name="Apply").click()
    shows(admin, "excerpt", '"by Pam"')
    admin.get_by_label("Before (UTC)").fill("2020-01-02T00:00")
    admin.get_by_role("button", name="Apply").click()
    expect(admin.locator(".note")).to_have_text("Nothing here.")
    admin.get_by_role("link", name="Clear all filters").click()
    expect(admin.get_by_label("Uid")).to_have_value("")


def test_what_is_found_can_be_taken_along(log_in: Open, chat: Chat) -> None:
    admin = log_in("viewer")
    find(admin, chat.channel)
    with admin.expect_download() as started:
        admin.get_by_role("link", name="Export as JSON Lines").click()
    lines = started.value.path().read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["data"] for line in lines] == ["a friendly word", "a bad word"]
    assert started.value.suggested_filename.endswith(".jsonl")


def test_a_connection_is_closed_within_seconds(
    log_in: Open, open_page: Open, chat_server: Server
) -> None:
    page = open_page(base_url=chat_server.url)
    sockets = []
    page.on("websocket", lambda socket: sockets.append(socket))
    chat = Chat(page)
    admin = log_in("root")
    admin.get_by_role("link", name="Channels").first.click()
    admin.get_by_role("row").filter(has_text=chat.channel).get_by_role(
        "link", name="2", exact=True
    ).click()
    of_jim = admin.locator("#result_list tbody tr").filter(has_text="jim")
    of_jim.locator(".field-connection_page a").click()
    expect(admin.locator(".field-rights")).to_contain_text("It may subscribe to the channel")
    admin.get_by_label("Action:").select_option("Close this connection")
    socket = next(socket for socket in sockets if uid_in(socket.url) == "jim")
    with socket.expect_event("close"):
        admin.get_by_role("button", name="Run").click()
    expect(admin.locator(".messagelist")).to_contain_text("1 connection will be closed")
    expect(chat.window("pam")).to_have_attribute("data-phase", "live")
