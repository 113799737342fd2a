"""Deleting stored messages (protocol.md section 19)."""

import asyncio
import json

from tests.support.backend import backend
from tests.support.client import Client, Frame
from tests.support.connecting import subscribed
from tests.support.grants import STORED, room
from tests.support.servers import Server
from tests.support.stored import expire, rows
from tests.support.ulids import GREATEST, LEAST
from tests.wire.test_server_api_channels import NAMES
from tests.wire.test_server_api_python import run

DELETED = "hotsock.messageDeleted"
REACTION = "hotsock.messageReaction"
NOT_FOUND = (404, "MESSAGE_NOT_FOUND")
Two = tuple[Server, Server]


def number_of(server: Server, channel: str) -> int:
    [[number]] = rows(server, "SELECT number FROM chat_channel WHERE name = ?", channel)
    return int(number)


async def test_everybody_who_subscribes_is_told(every_server: Server, channel: str) -> None:
    """Also whoever may not read what was there before; in the channel's order."""
    async with (
        subscribed(every_server, channel, uid="jim") as jim,
        subscribed(every_server, channel, {}, uid="pam") as pam,
        backend(every_server) as api,
    ):
        id = await jim.store(channel)
        for client in (jim, pam):
            await client.receive("chat")
        await api.deleted(channel, id)
        frames = [await client.receive() for client in (jim, pam)]
        assert frames[0].text == frames[1].text
        assert frames[0] == {
            "event": DELETED,
            "channel": channel,
            "position": number_of(every_server, channel),
            "data": {"messageId": id},
        }
        later = await jim.store(channel)
        assert (await pam.receive("chat"))["id"] == later > id


async def test_it_leaves_history_with_its_reactions(every_server: Server, channel: str) -> None:
    async with (
        subscribed(every_server, channel, uid="jim", channels=room(channel, historyStart=0)) as jim,
        backend(every_server) as api,
    ):
        kept, gone = await jim.fill(channel, 2)
        for id in (kept, gone):
            await jim.react(channel, id)
        await jim.react(channel, gone, action="remove")
        await jim.settle()
        await api.deleted(channel, gone)
        assert [message["id"] for message in await jim.history(channel)] == [kept]
        listed = await jim.call("listReactions", {"channel": channel, "messageId": gone})
        assert listed.refusal == NOT_FOUND
        left = rows(every_server, "SELECT 1 FROM chat_reaction WHERE message_id = ?", gone)
        assert left == []
        assert await jim.reactions(channel, kept) == [{"reaction": "👍", "uid": "jim"}]


async def test_what_is_not_there_is_not_found(every_server: Server, channel: str) -> None:
    """Gone already, expired, of another channel, not stored, or no id; and nothing is done."""
    other = f"{channel}-other"
    channels = room(
        channel, {"chat": {**STORED, "store": 3600}, "typing": {"publish": True, "echo": True}}
    )
    async with (
        subscribed(every_server, channel, uid="jim", channels=channels) as jim,
        subscribed(every_server, other, uid="jim") as elsewhere,
        backend(every_server) as api,
    ):
        gone, expired, kept = [await jim.store(channel) for _ in range(3)]
        foreign = await elsewhere.store(other)
        await jim.publish(channel, event="typing")
        passing = (await jim.drain())[-1]["id"]
        await api.deleted(channel, gone)
        expire(every_server, expired)
        before = number_of(every_server, channel)
        await jim.receive(DELETED)
        nothing = "", " ", "x", "0" * 27, kept.lower(), f"{kept}\n", f"{kept}/", "\x00", "%", "é"
        for id in (gone, expired, foreign, passing, LEAST, GREATEST, *nothing):
            assert (await api.delete(channel, id)).refusal == NOT_FOUND, id
        assert (await api.call("DELETE", f"/channels/{channel}/messages/%ff")).refusal == NOT_FOUND
        assert (await api.delete(f"{channel}-none", kept)).refusal == NOT_FOUND
        assert number_of(every_server, channel) == before
        assert [message["id"] for message in await jim.history(channel)] == [kept]
        assert [message["id"] for message in await elsewhere.history(other)] == [foreign]
        unknown = "SELECT 1 FROM chat_channel WHERE name = ?"
        assert rows(every_server, unknown, f"{channel}-none") == []
        await jim.nothing()


async def test_what_was_deleted_takes_no_reaction(every_server: Server, channel: str) -> None:
    """Neither by a frame nor by a call, also of whoever has reacted to it before."""
    async with subscribed(every_server, channel, uid="jim") as jim, backend(every_server) as api:
        id = await jim.store(channel)
        await jim.react(channel, id)
        await jim.settle()
        await api.deleted(channel, id)
        await jim.drain()
        for action in ("add", "remove"):
            await jim.react(channel, id, action=action)
            await jim.error("MESSAGE_NOT_FOUND", REACTION, channel)
            data = {"messageId": id, "reaction": "👍", "action": action}
            body = {"channel": channel, "event": REACTION, "data": data}
            assert (await jim.call("publishMessage", body)).refusal == NOT_FOUND
            by_server = {**data, "uid": "pam"}
            assert (await api.publish(channel, REACTION, data=by_server)).refusal == NOT_FOUND
        await jim.nothing()


async def test_of_many_at_once_one_deletes_it(every_server: Server, channel: str) -> None:
    async with subscribed(every_server, channel) as client, backend(every_server) as api:
        for _ in range(5):
            id = await client.store(channel)
            await client.receive("chat")
            answers = await asyncio.gather(*(api.delete(channel, id) for _ in range(8)))
            assert sorted(answer.status for answer in answers) == [204, *[404] * 7]
            assert (await client.receive(DELETED))["data"] == {"messageId": id}
        await client.nothing()


async def test_a_repeated_publication_gets_the_first_receipt(
    every_server: Server, channel: str
) -> None:
    """And is not published again, though the message is gone."""
    once = {"deduplicationId": "x", "store": -1, "eagerIdGeneration": True}
    async with subscribed(every_server, channel) as client, backend(every_server) as api:
        first = await api.published(channel, **once)
        await api.deleted(channel, first["id"])
        assert await api.published(channel, **once) == first
        assert await client.history(channel) == []
        assert [frame["event"] for frame in await client.drain()] == ["chat", DELETED]


async def test_names_are_percent_encoded(every_server: Server) -> None:
    names = [*NAMES, "a/messages/b", "messages", f"a/messages/{LEAST}"]
    async with backend(every_server) as api:
        for name in names:
            published = await api.published(name, store=60, eagerIdGeneration=True)
            await api.deleted(name, published["id"])
            assert (await api.channel(name)).json["name"] == name
        published = await api.published("a/b", store=60, eagerIdGeneration=True)
        path = f"/channels/a/b/messages/%30{published['id'][1:]}"
        assert (await api.call("DELETE", path)).status == 204
        for bad in ("%2A", "a%20b", "", "%ff"):
            refused = await api.call("DELETE", f"/channels/{bad}/messages/{LEAST}")
            assert refused.refusal == (400, "INVALID_CHANNEL_NAME")


async def test_it_takes_a_key(any_server: Server, channel: str) -> None:
    async with subscribed(any_server, channel) as client, backend(any_server) as api:
        id = await client.store(channel)
        path = f"/channels/{channel}/messages/{id}"
        refused = await api.call("DELETE", path, headers={})
        assert refused.refusal == (401, "INVALID_API_KEY")
        assert [message["id"] for message in await client.history(channel)] == [id]


# --- from Python, in other processes ------------------------------------------------------------


async def test_another_process_deletes(every_server: Server, channel: str) -> None:
    """What it rolls back stays; what is not there is refused."""
    async with subscribed(every_server, channel) as client:
        kept, first, second = await client.fill(channel, 3)
        script = f"""
try:
    with transaction.atomic():
        api.delete_message({channel!r}, {kept!r})
        raise LookupError
except LookupError:
    with transaction.atomic():
        api.delete_message({channel!r}, {first!r})
api.delete_message({channel!r}, {second!r})
for id in ({second!r}, {LEAST!r}, "\\0", "x"):
    try:
        api.delete_message({channel!r}, id)
    except api.ProtocolError as error:
        print(error.code)
"""
        outcome = await asyncio.to_thread(run, every_server, script)
        assert outcome.stdout == "MESSAGE_NOT_FOUND\n" * 4
        frames = [await client.receive(DELETED) for _ in range(2)]
        assert [frame["data"]["messageId"] for frame in frames] == [first, second]
        assert [message["id"] for message in await client.history(channel)] == [kept]
        await client.nothing()


async def test_it_is_gone_in_every_process(processes: Two, channel: str) -> None:
    one, other = processes
    channels = room(channel, historyStart=0)
    async with (
        subscribed(one, channel, uid="jim", channels=channels) as jim,
        subscribed(other, channel, uid="pam", channels=channels) as pam,
        backend(one) as api,
        backend(other) as elsewhere,
    ):
        ids = await jim.fill(channel, 2)
        for id in ids:
            await pam.react(channel, id)  # its process knows the message
        await pam.drain()
        await jim.until({"messageId": ids[-1], "reaction": "👍", "action": "add"})
        for id, (here, there) in zip(ids, ((api, elsewhere), (elsewhere, api)), strict=True):
            await here.deleted(channel, id)
            frames = [await client.receive(DELETED) for client in (jim, pam)]
            assert frames[0].text == frames[1].text
            assert frames[0]["data"] == {"messageId": id}
            await pam.react(channel, id, action="remove")
            await pam.error("MESSAGE_NOT_FOUND", REACTION, channel)
            assert (await there.delete(channel, id)).refusal == NOT_FOUND
        for client in (jim, pam):
            assert await client.history(channel) == []


async def test_what_is_published_and_reacted_meanwhile_keeps_one_order(
    processes: Two, channel: str
) -> None:
    """The same for all; each message before its end, and no reaction to it after that."""
    count = 40
    one, other = processes
    async with (
        subscribed(one, channel, uid="jim") as jim,
        subscribed(one, channel, uid="eve") as eve,
        subscribed(other, channel, uid="pam") as pam,
        subscribed(other, channel, uid="bob") as bob,
        backend(one) as here,
        backend(other) as there,
        asyncio.TaskGroup() as deleting,
    ):
        for number in range(count):
            await jim.publish(channel, number)

        async def read(client: Client, *, acts: bool) -> list[Frame]:
            """All up to the last deletion; whoever `acts` lets pam react, and deletes meanwhile."""
            frames: list[Frame] = []
            while sum(frame["event"] == DELETED for frame in frames) < count:
                frames.append(frame := await client.receive())
                if acts and frame["event"] == "chat":
                    api = (here, there)[frame["data"] % 2]
                    await pam.react(channel, frame["id"])
                    deleting.create_task(api.deleted(channel, frame["id"]))
                    await pam.react(channel, frame["id"], action="remove")
            return frames

        seen, theirs = await asyncio.gather(read(eve, acts=True), read(bob, acts=False))
        assert [frame.text for frame in seen] == [frame.text for frame in theirs]
        alive: set[str] = set()
        for frame in seen:
            if frame["event"] == "chat":
                alive.add(frame["id"])
            else:
                assert frame["data"]["messageId"] in alive
            if frame["event"] == DELETED:
                alive.remove(frame["data"]["messageId"])
        await eve.nothing(pam)
        assert await eve.history(channel) == []


async def test_the_audit_log_says_which_key_from_where(every_server: Server, channel: str) -> None:
    async with (
        subscribed(every_server, channel, uid="jim") as jim,
        backend(every_server) as api,
    ):
        id = await jim.store(channel)
        await api.deleted(channel, id)
        sql = "SELECT actor, address, action, uid, detail FROM chat_auditentry WHERE channel = ?"
        [[*said, detail]] = rows(every_server, sql, channel)
        assert said == ["api key 1", "127.0.0.1", "delete message", "jim"]
        assert json.loads(detail) == {"message": id, "event": "chat"}
