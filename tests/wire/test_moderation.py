"""Taking away what should not have been said (docs/moderation.md): hidden, deleted in bulk, erased
with the person."""

import asyncio
import json
from typing import Any

from tests.support.backend import backend
from tests.support.client import Client
from tests.support.connecting import connect, subscribed
from tests.support.grants import STORED, room
from tests.support.servers import Server, manage
from tests.support.stored import expire, rows
from tests.wire.test_deletion import DELETED, NOT_FOUND, REACTION
from tests.wire.test_recovery import joined, recovered
from tests.wire.test_server_api_python import run

Two = tuple[Server, Server]


async def command(server: Server, *arguments: str, **env: str) -> str:
    """What a command says that ends with 0; the server goes on meanwhile."""
    outcome = await asyncio.to_thread(manage, server.env | env, *arguments)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


# --- hiding -------------------------------------------------------------------------------------


async def test_a_hidden_message_is_seen_by_nobody_until_it_is_shown(
    every_server: Server, channel: str
) -> None:
    granted = {"uid": "jim", "channels": room(channel, historyStart=0)}
    async with connect(every_server, **granted) as jim:
        since, epoch = await joined(jim, channel)
        first, gone, last = await jim.fill(channel, 3)
        await jim.react(channel, gone)
        await jim.settle()
        await command(every_server, "hide_message", channel, gone)
        frame = await jim.receive(DELETED)
        assert frame["data"] == {"messageId": gone}
        assert [message["id"] for message in await jim.history(channel)] == [first, last]
        listed = await jim.call("listReactions", {"channel": channel, "messageId": gone})
        assert listed.refusal == NOT_FOUND
        await jim.react(channel, gone, "👎")
        await jim.error("MESSAGE_NOT_FOUND", REACTION, channel)
        replayed = await recovered(every_server, channel, since, epoch, **granted)
        assert replayed is not None
        assert [each.get("id") or each["data"]["messageId"] for each in replayed] == [
            *(first, last),
            gone,
        ]

        await command(every_server, "hide_message", "--show", channel, gone)
        assert [message["id"] for message in await jim.history(channel)] == [first, gone, last]
        assert await jim.reactions(channel, gone) == [{"reaction": "👍", "uid": "jim"}]
        assert await recovered(every_server, channel, frame["position"], epoch, **granted) is None
        later = await jim.store(channel)
        assert (await jim.receive("chat"))["id"] == later
        await jim.nothing()


async def test_hiding_and_showing_in_every_process(processes: Two, channel: str) -> None:
    """And whoever deletes what is hidden already tells nobody once more."""
    one, other = processes
    async with (
        subscribed(one, channel, uid="jim") as jim,
        subscribed(other, channel, uid="pam") as pam,
        backend(other) as api,
    ):
        [id] = await jim.fill(channel, 1)
        await pam.receive("chat")
        await command(one, "hide_message", channel, id)
        for client in (jim, pam):
            assert (await client.receive(DELETED))["data"] == {"messageId": id}
        await command(one, "hide_message", "--show", channel, id)
        later = await pam.store(channel)
        for client in (jim, pam):
            assert (await client.receive("chat"))["id"] == later
        await command(one, "hide_message", channel, id)
        for client in (jim, pam):
            await client.receive(DELETED)
        await api.deleted(channel, id)
        assert (await api.delete(channel, id)).refusal == NOT_FOUND
        for client in (jim, pam):
            await client.nothing()
            assert [message["id"] for message in await client.history(channel)] == [later]


async def test_one_message_is_deleted_by_a_command(server: Server, channel: str) -> None:
    async with subscribed(server, channel, uid="jim") as jim:
        [id] = await jim.fill(channel, 1)
        await command(server, "delete_message", channel, id)
        assert (await jim.receive(DELETED))["data"] == {"messageId": id}
        sql = "SELECT actor, action, uid FROM chat_auditentry WHERE channel = ?"
        assert rows(server, sql, channel) == [("command", "delete message", "jim")]


# --- many ---------------------------------------------------------------------------------------


async def test_all_of_somebody_go_and_no_others(every_server: Server, channel: str) -> None:
    """In several transactions, in order; a dry run changes nothing."""
    granted = room(channel, historyStart=0)
    async with (
        subscribed(every_server, channel, uid="pam", channels=granted) as pam,
        subscribed(every_server, channel, uid=f"eve-{channel}") as eve,
    ):
        [kept] = await pam.fill(channel, 1)
        await eve.receive("chat")
        gone = await eve.fill(channel, 130)
        await pam.until(129)
        asked = ("delete_messages", "--uid", f"eve-{channel}")
        assert await command(every_server, *asked, "--dry-run") == "130 to delete, untouched.\n"
        await pam.nothing()
        assert await command(every_server, *asked) == "Deleted 130.\n"
        frames = [await pam.receive(DELETED) for _ in gone]
        assert [frame["data"]["messageId"] for frame in frames] == gone
        assert [message["id"] for message in await pam.history(channel)] == [kept]
        said = json.loads(await command(every_server, *asked, "--json"))
        assert said == {"dry_run": False, "messages": 0}
        sql = "SELECT actor, action, detail FROM chat_auditentry WHERE uid = ?"
        [[actor, action, detail]] = rows(every_server, sql, f"eve-{channel}")
        assert (actor, action, json.loads(detail)) == (
            *("command", "delete messages"),
            {"messages": 130},
        )


async def test_nobody_is_asked_for_all_messages(server: Server) -> None:
    outcome = await asyncio.to_thread(manage, server.env, "delete_messages")
    assert outcome.returncode == 1
    assert "uid or channel must be given" in outcome.stderr


# --- erasing a person ---------------------------------------------------------------------------

NAMES_SOMEBODY = {"uid", "sender", "work", "claims", "body", "object_repr"}
COLUMNS = {
    "sqlite": (
        "SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p"
        " WHERE m.type = 'table'"
    ),
    "postgresql": (
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public'"
    ),
}


def columns(server: Server) -> dict[str, list[str]]:
    kind = "sqlite" if server.env["DATABASE_URL"].startswith("sqlite") else "postgresql"
    found: dict[str, list[str]] = {}
    for table, column in rows(server, COLUMNS[kind]):
        found.setdefault(table, []).append(column)
    return found


def naming(server: Server, text: str) -> set[str]:
    """The tables of which any column of any row has this text in it."""
    found = set()
    for table, names in columns(server).items():
        like = " OR ".join(f'CAST("{name}" AS TEXT) LIKE ?' for name in names)
        sql = f'SELECT 1 FROM "{table}" WHERE {like} LIMIT 1'  # noqa: S608
        if rows(server, sql, *[f"%{text}%" for _ in names]):
            found.add(table)
    return found


REST = """
import json
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.utils import timezone
from chat.models import BackendEvent, OutboxEntry
uid, channel, now = {uid!r}, {channel!r}, timezone.now()
user, _ = User.objects.get_or_create(username="moderator")
for said in (f"2026 chat by {{uid}} in {{channel}}", ("e" * 180 + f" by {{uid}} in x")[:200]):
    LogEntry.objects.create(user=user, object_repr=said, action_flag=3)
work = dict(kind="message", version=1, channel="c", event="chat", data=1, store=-1, uid=uid)
parked = dict(created_at=now, parked_at=now)
OutboxEntry.objects.create(channel=channel, work=json.dumps(work), **parked)
api.ban(uid=uid, channel="elsewhere", reason=f"{{uid}} shouts")
members = [dict(uid=uid), dict(uid="pam")]
for data in (dict(meta=dict(uid=uid)), dict(uid="pam", umd=0, members=members)):
    body = json.dumps(dict(source="hotsock.v1", data=data)).replace(": 0", ": 1e400")
    BackendEvent.objects.create(stream=channel, type="x", body=body, created_at=now)
"""


async def leave_traces(server: Server, eve: Client, pam: Client, channel: str, uid: str) -> None:
    """In every table that can name somebody."""
    [theirs] = await pam.fill(channel, 1)
    await eve.receive("chat")
    ids = [await eve.store(channel, f"by {uid}") for _ in range(4)]
    for _ in ids:
        await pam.receive("chat")
        await eve.receive("chat")
    await eve.react(channel, theirs)
    await eve.react(channel, theirs, "👎")
    await eve.react(channel, theirs, "👎", "remove")
    await eve.send(
        *(
            {
                **{"event": "hotsock.channelStorageSet", "channel": channel, "key": key},
                **{"data": uid, "ack": f"ack-of-{key}-0123456789"},
            }
            for key in ("k1", "k2")
        ),
        {
            **{"event": "chat", "channel": channel, "data": "later"},
            "scheduleExpression": "at(2100-01-01T00:00:00)",
        },
    )
    await eve.drain()
    while (await pam.receive()).get("key") != "k2":
        pass  # the last change, which may come from another process
    async with backend(server) as api:
        await api.deleted(channel, ids[0])
    await command(server, "hide_message", channel, ids[1])
    for _ in range(2):
        await pam.receive(DELETED)
    expire(server, ids[2])
    await asyncio.to_thread(run, server, REST.format(uid=uid, channel=channel))


async def erase(watched: Server, acting: Server, channel: str) -> None:
    """Eve is at `acting`, pam watches; what pam sees goes, and then the rest of it."""
    uid, presence = f"eve-{channel}", f"presence.{channel}"
    storage = {"storage": {"*": {"set": True, "observe": True}}}
    messages = {"chat": {**STORED, "scheduleBefore": 5_000_000_000}}
    channels: dict[str, Any] = {
        **room(channel, messages, historyStart=0, **storage),
        **room(presence, {}),
    }
    async with (
        subscribed(watched, channel, uid="pam", channels=channels) as pam,
        subscribed(acting, channel, uid=uid, channels=channels) as eve,
    ):
        await pam.subscribe(presence)
        await eve.subscribe(presence)
        await pam.receive("hotsock.memberAdded")
        await leave_traces(acting, eve, pam, channel, uid)
        named = {table for table, has in columns(acting).items() if NAMES_SOMEBODY & {*has}}
        tables = {table for table in named if table.startswith(("chat_", "django_admin"))}
        assert tables <= naming(acting, uid), tables - naming(acting, uid)

        counted = json.loads(await command(acting, "erase_user", uid, "--dry-run", "--json"))
        assert all(counted["rows"].values()), counted
        assert await command(acting, "erase_user", uid, NODE_LEASE_SECONDS="1")
        assert (await eve.closed())[0] == 4403
        seen = [(await pam.receive())["event"] for _ in range(5)]
        assert sorted(seen) == [
            *["hotsock.channelStorageUpdated"] * 2,
            *("hotsock.memberRemoved", DELETED, "hotsock.messageReactionRemoved"),
        ]
        assert naming(acting, uid) == set()
        [[body]] = rows(acting, "SELECT body FROM chat_backendevent WHERE stream = ?", channel)
        assert '"umd":1e400,"members":[{"uid": "pam"}]' in body
        assert [message["data"] for message in await pam.history(channel)] == [0]
        sql = "SELECT actor FROM chat_auditentry WHERE action = ? AND uid LIKE ?"
        assert ("command",) in rows(acting, sql, "erase user", "erased:%")


async def test_nothing_names_who_was_erased(any_server: Server, channel: str) -> None:
    await erase(any_server, any_server, channel)


async def test_nothing_names_who_was_erased_in_another_process(
    processes: Two, channel: str
) -> None:
    one, other = processes
    await erase(one, other, channel)
