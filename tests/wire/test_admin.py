"""What a moderator takes away in the admin, as clients see it (docs/admin.md)."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.support.calls import http_client
from tests.support.connecting import subscribed
from tests.support.servers import Server, manage
from tests.support.stored import rows
from tests.wire.test_schedule import room, scheduled, soon
from tests.wire.test_storage import get, setting, stores, updated

LOGIN = """
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_superuser({!r}))
print(client.cookies["sessionid"].value)
"""


@asynccontextmanager
async def moderator(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may do everything, logged in."""
    logged_in = manage(server.env, "shell", "-c", LOGIN.format(f"root-{secrets.token_hex(4)}"))
    assert logged_in.returncode == 0, logged_in.stderr
    async with http_client(server) as browser:
        browser.cookies.set("sessionid", logged_in.stdout.split()[-1])
        await browser.get("/admin/")
        yield browser


async def submit(browser: httpx.AsyncClient, path: str, **form: str | list[str]) -> None:
    fields = {**form, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    origin = str(browser.base_url).rstrip("/")
    answer = await browser.post(path, data=fields, headers={"Origin": origin, "Referer": origin})
    assert answer.status_code == 302, answer.text


@pytest.mark.parametrize("kind", ["server", "postgres_server"])
async def test_whoever_observes_an_entry_is_told_that_it_was_deleted(
    request: pytest.FixtureRequest, kind: str, channel: str
) -> None:
    """As when a client had cleared it; the one that wrote it, too."""
    site: Server = request.getfixturevalue(kind)
    await delete_an_entry(site, site, channel)


async def test_whoever_observes_it_in_another_process_is_told(
    processes: tuple[Server, Server], channel: str
) -> None:
    await delete_an_entry(*processes, channel)


async def delete_an_entry(near: Server, far: Server, channel: str) -> None:
    async with (
        moderator(near) as browser,
        subscribed(near, channel, uid="jim", channels=stores(channel)) as jim,
        subscribed(far, channel, uid="pam", channels=stores(channel)) as pam,
    ):
        await jim.send(setting(channel, "k", "a bad word"))
        for client in (jim, pam):
            assert await client.receive() == updated(channel, "k", "a bad word")
        [[key]] = rows(
            near, "SELECT id FROM chat_storageentry WHERE data = ? AND key = 'k'", '"a bad word"'
        )
        await submit(browser, f"/admin/chat/storageentry/{key}/delete/", post="yes")
        for client in (jim, pam):
            assert await client.receive() == updated(channel, "k", None, None)
            assert (await get(client, channel))["data"] is None
        await jim.send(setting(channel, "k", "a bad word"))
        assert await pam.receive() == updated(channel, "k", "a bad word")


async def test_who_subscribes_is_told_that_a_message_was_deleted(
    processes: tuple[Server, Server], channel: str
) -> None:
    """In every process, of each that was ticked."""
    near, far = processes
    async with (
        moderator(near) as browser,
        subscribed(near, channel, uid="jim") as jim,
        subscribed(far, channel, uid="pam") as pam,
    ):
        kept, *gone = await jim.fill(channel, 3)
        for _ in (kept, *gone):
            await pam.receive("chat")
        ticked = {"action": "delete_selected", "_selected_action": gone, "post": "yes"}
        await submit(browser, "/admin/chat/message/", index="0", **ticked)
        for client in (jim, pam):
            told = [await client.receive("hotsock.messageDeleted") for _ in gone]
            assert sorted(frame["data"]["messageId"] for frame in told) == gone
            assert [message["id"] for message in await client.history(channel)] == [kept]


async def test_what_is_cancelled_is_not_published(server: Server, channel: str) -> None:
    """What was scheduled beside it is, at its time."""
    async with (
        moderator(server) as browser,
        subscribed(server, channel, uid="jim", channels=room(channel)) as jim,
    ):
        await scheduled(jim, channel, 3, soon(3))
        [[first], [second], [third]] = rows(
            server,
            "SELECT s.id FROM chat_schedule s JOIN chat_channel c ON c.id = s.channel_id"
            " WHERE c.name = ? ORDER BY s.id",
            channel,
        )
        cancel = {"action": "cancel_selected", "index": "0", "_selected_action": second}
        await submit(browser, "/admin/chat/schedule/", **cancel)
        assert [(await jim.receive("chat"))["data"] for _ in (first, third)] == [0, 2]
        await jim.nothing()
