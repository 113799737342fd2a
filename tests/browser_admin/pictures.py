"""The pictures of docs/admin.md: `python -m tests.browser_admin.pictures [DIRECTORY]`, docs/images
where there is none. Run by hand, after a change of these pages; no test.

What they show is made up, and written as the server stores it. `pngquant`, where it is there, gives
them a palette, which makes them a third as large.
"""

import json
import math
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.browser_admin.chat import Chat
from tests.support.chromium import launching
from tests.support.servers import ROOT, Server, manage, start_server

DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {
    **{"viewport": {"width": 375, "height": 812}, "device_scale_factor": 2},
    **{"is_mobile": True, "has_touch": True, "color_scheme": "dark"},
}
LIVE_SECONDS = 150  # of talk, for its charts
# By name: how the screen is, whether all of the page is shown, and which link of which list leads
# to it.
PICTURES: dict[str, tuple[dict[str, Any], bool, str, str]] = {
    "messages": (DESK, False, "message", ""),
    "message": (DESK, True, "message", "tr:has-text('bring the cake') th a"),
    "connection": (DESK, True, "connection", "tr:has-text('pam') th a"),
    "phone": (PHONE, False, "message", ""),
    "live": (DESK, True, "live", ""),
}

# Minutes ago, channel, uid ("": the server's API), what was said, reactions with who gave them.
SAID: tuple[tuple[float, str, str, object, dict[str, str]], ...] = (
    (2, "chat-harbour", "noor", "It is here! Two boxes, both dry", {"sam": "🎉"}),
    (3, "chat-orchard", "pam", "Plum. The apples are still on the tree 🍎", {"jim": "😂"}),
    (6, "chat-orchard", "jim", "What kind of cake?", {}),
    (11, "team.design", "lee", "Then the second one it is", {"kim": "👍", "ada": "👍"}),
    (15, "chat-harbour", "eve", "BUY CHEAP WATCHES http://watches.example", {"noor": "👎"}),
    (
        *(16, "chat-orchard", "pam", "And I bring the cake and the plates. Who has a large table?"),
        {"jim": "❤️", "kim": "❤️", "lee": "😂", "sam": "👍"},
    ),
    (16.5, "team.design", "kim", "I like the second one most", {}),
    (
        *(21, "news", "", {"headline": "Library open on Sundays", "url": "https://news.example/7"}),
        {},
    ),
    (24, "chat-orchard", "jim", "Saturday at three, then. I bring chairs", {"pam": "👍"}),
    (31, "team.design", "ada", "Three drafts are in the folder. Which one?", {}),
    (38, "chat-harbour", "sam", "The ferry is late, says the board", {"noor": "👎"}),
    (44, "chat-harbour", "noor", "Has anybody seen the parcel?", {}),
    (52, "chat-orchard", "pam", "שלום! Are we still on for the weekend?", {"jim": "👍"}),
    (63, "news", "", {"headline": "Rain until noon"}, {}),
)
PEOPLE = (
    ("pam", "chat-orchard", "203.0.113.24", "(X11; Linux x86_64) Gecko/20100101 Firefox/140.0"),
    ("jim", "chat-orchard", "198.51.100.7", "(Windows NT 10.0) Chrome/141.0.0.0 Safari/537.36"),
    ("noor", "chat-harbour", "203.0.113.80", "(iPhone) Version/18.6 Mobile/15E148 Safari/604.1"),
)


# --- what is shown ------------------------------------------------------------------------------


def seed() -> None:
    """Into the server's database, by a process in which Django is set up."""
    from django.utils import timezone

    from chat.models import Channel, Connection, Message, Node, Reaction, Subscription
    from chat.protocol import ids

    now = timezone.now()
    channels = {
        name: Channel.objects.create(name=name, changed_at=now)
        for name in sorted({channel for _, channel, *_ in SAID})
    }
    for number, (minutes, name, uid, said, reactions) in enumerate(reversed(SAID)):
        at, channel = now - timedelta(minutes=minutes), channels[name]
        message = Message.objects.create(
            id=ids.new_id(int(at.timestamp() * 1000)),
            channel=channel,
            number=number,
            event="chat" if uid else "story",
            data=json.dumps(said, ensure_ascii=False),
            uid=uid or None,
            umd=_umd(uid) if uid else "null",
            by_server=not uid,
            expires_at=at + timedelta(days=1) if uid else None,
        )
        channel.last_message_id = message.id
        channel.save()
        for later, (giver, value) in enumerate(reactions.items(), 1):
            Reaction.objects.create(
                message=message,
                channel=channel,
                number=number,
                uid=giver,
                umd=_umd(giver),
                reaction=value,
                created_at=at + timedelta(seconds=17 * later),
            )
    node = Node.objects.get()
    node.host = "chat-1"
    node.save()
    for uid, name, address, agent in PEOPLE:
        opened = Connection.objects.create(
            id=f"{secrets.token_urlsafe(8)}=",
            node=node,
            secret_hash="",
            claims=_claims(uid, now + timedelta(minutes=5)),
            uid=uid,
            umd=_umd(uid),
            address=address,
            user_agent=f"Mozilla/5.0 {agent}",
            connected_at=now - timedelta(minutes=70),
            expires_at=now + timedelta(minutes=50),
        )
        Subscription.objects.create(
            connection=opened, channel=channels[name], subscribed_at=opened.connected_at
        )


def _umd(uid: str) -> str:
    return json.dumps({"name": uid.capitalize()})


def _claims(uid: str, until: datetime) -> str:
    chat = {"publish": True, "echo": True, "store": 86400, "react": ["❤️", "👍", "👎", "😂"]}
    rights = {"subscribe": True, "historyStart": 0, "messages": {"chat": chat}}
    claims = {"scope": "connect", "exp": int(until.timestamp()), "uid": uid}
    return json.dumps({**claims, "channels": {"chat-*": rights}})


# --- the pictures -------------------------------------------------------------------------------


def main(to: Path) -> None:
    password = secrets.token_urlsafe(16)
    with (
        tempfile.TemporaryDirectory() as directory,
        start_server("uvicorn", Path(directory), DJANGO_SUPERUSER_PASSWORD=password) as server,
        sync_playwright() as playwright,
    ):
        for command in (
            ("createsuperuser", "--no-input", "--username", "ada", "--email", "ada@example.org"),
            ("shell", "-c", "from tests.browser_admin import pictures; pictures.seed()"),
        ):
            outcome = manage(server.env, *command)
            assert outcome.returncode == 0, outcome.stderr
        browser = playwright.chromium.launch(**launching())
        cookies = log_in(browser, server, password)
        for name in PICTURES:
            if name == "live":
                talk(browser, server)
            draw(browser, server, cookies, name, to / f"admin-{name}.png")
        browser.close()


def log_in(browser: Browser, server: Server, password: str) -> Any:
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto("/admin/")
    page.fill("[name=username]", "ada")
    page.fill("[name=password]", password)
    page.click("[type=submit]")
    page.get_by_role("link", name="Messages").first.wait_for()
    state = context.storage_state()
    context.close()
    return state


def talk(browser: Browser, server: Server) -> None:
    """In three sessions of the demo, in waves; their pages stay open."""
    chats = [Chat(browser.new_page(base_url=server.url)) for _ in range(3)]
    began = time.monotonic()
    while (at := time.monotonic() - began) < LIVE_SECONDS:
        for number in range(1 + round(4 + 4 * math.sin(at / 12))):
            composer = chats[number % 3].window("jim").get_by_label("Message as")
            composer.fill("Hello")
            composer.press("Enter")
        time.sleep(0.5)


def draw(browser: Browser, server: Server, cookies: Any, name: str, path: Path) -> None:
    screen, whole, model, link = PICTURES[name]
    context = browser.new_context(
        base_url=server.url, storage_state=cookies, reduced_motion="reduce", **screen
    )
    page = context.new_page()
    page.goto(f"/admin/chat/{model}/")
    if link:
        page.locator(link).first.click()
        page.get_by_role("button", name="Back to the list").wait_for()
    page.wait_for_load_state()
    if name == "live":
        page.get_by_role("listitem").filter(has_text="Connections").wait_for()
    page.screenshot(path=path, full_page=whole)
    context.close()
    if pngquant := shutil.which("pngquant"):
        subprocess.run([pngquant, "--force", "--strip", "--ext", ".png", str(path)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs/images")
