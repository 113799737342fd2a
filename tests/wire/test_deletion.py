"""Deleting stored messages (protocol.md section 19)."""

from tests.support.backend import backend
from tests.support.connecting import subscribed
from tests.support.grants import STORED, room
from tests.support.servers import Server
from tests.support.stored import expire, rows
from tests.support.ulids import GREATEST, LEAST

DELETED = "hotsock.messageDeleted"
REACTION = "hotsock.messageReaction"
NOT_FOUND = (404, "MESSAGE_NOT_FOUND")
SERVED = {**STORED, "store": 3600}
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
    channels = room(channel, {"chat": SERVED, "typing": {"publish": True, "echo": True}})
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
