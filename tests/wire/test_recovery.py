"""Positions, and what a client that comes back has missed (protocol.md section 19)."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.backend import Backend, backend
from tests.support.client import Client, Frame
from tests.support.connecting import connect, subscribed
from tests.support.grants import PASSING, STORED, room
from tests.support.servers import Server, manage
from tests.support.stored import expire, expire_entries, rows

SUBSCRIBE, SET = "hotsock.subscribe", "hotsock.channelStorageSet"
ADDED, REMOVED = "hotsock.messageReactionAdded", "hotsock.messageReactionRemoved"
UPDATED, DELETED = "hotsock.channelStorageUpdated", "hotsock.messageDeleted"
STORAGE = {"k*": {"set": True, "observe": True}, "unseen": {"set": True}}
LATER = 4_000_000_000  # when a window begins that holds nothing yet
SILENT = {**STORED, "echo": False}
Two = tuple[Server, Server]


def all_of(channel: str, **directives: Any) -> dict[str, Any]:
    messages = {"chat": STORED, "silent": SILENT, "typing": PASSING}
    return room(channel, messages, storage=STORAGE, **{"historyStart": 0, **directives})


@asynccontextmanager
async def back(
    server: Server, channel: str, data: dict[str, Any], **claims: Any
) -> AsyncIterator[tuple[Client, Any, list[Frame]]]:
    """A connection that subscribes with these data: what it is told of that, and what follows."""
    claims = {"uid": "jim", "channels": all_of(channel), **claims}
    async with connect(server, **claims) as client:
        await client.send({"event": SUBSCRIBE, "channel": channel, "data": data})
        said = (await client.receive("hotsock.subscribed"))["data"]
        replayed = [await client.receive() for _ in range(said.get("replayed", 0))]
        yield client, said, replayed


async def recovered(
    server: Server, channel: str, since: int, epoch: str, **claims: Any
) -> list[Frame] | None:
    """What is replayed and nothing else, None where it cannot be."""
    async with back(server, channel, {"since": since, "epoch": epoch}, **claims) as came:
        client, said, replayed = came
        await client.nothing()
        assert ("replayed" in said) is said["recovered"]
        return replayed if said["recovered"] else None


async def joined(client: Client, channel: str) -> tuple[int, str]:
    data = (await client.subscribe(channel))["data"]
    return data["position"], data["epoch"]


async def store(client: Client, channel: str, key: str, value: Any) -> None:
    await client.send({"event": SET, "channel": channel, "key": key, "data": value})


def positions(frames: list[Any]) -> list[int]:
    return [frame["position"] for frame in frames]


# --- positions ----------------------------------------------------------------------------------


async def test_all_that_is_durable_has_its_position(processes: Two, channel: str) -> None:
    """The same for everybody and in history, rising; nothing else has one."""
    here, there = processes
    async with (
        connect(here, uid="jim", channels=all_of(channel)) as jim,
        subscribed(there, channel, uid="pam", channels=all_of(channel)) as pam,
    ):
        assert await joined(jim, channel) == (0, (await joined_again(pam, channel))[1])
        id = await jim.store(channel)
        await jim.publish(channel, event="typing")
        await jim.react(channel, id)
        await store(jim, channel, "k", 1)
        frames = [await pam.receive() for _ in range(4)]
        typing = next(frame for frame in frames if frame["event"] == "typing")
        frames.remove(typing)
        assert "position" not in typing
        assert [frame["event"] for frame in frames] == ["chat", ADDED, UPDATED]
        assert positions(frames) == [1, 2, 3]
        assert positions(await pam.history(channel)) == [1]
        heard = [await jim.receive(), await jim.receive()]
        assert [frame.text for frame in heard] == [frames[0].text, frames[2].text]


async def joined_again(client: Client, channel: str) -> tuple[int, str]:
    await client.unsubscribe(channel)
    return await joined(client, channel)


# --- what is replayed ---------------------------------------------------------------------------


async def test_what_was_missed_comes_as_it_was_and_once(every_server: Server, channel: str) -> None:
    """The own messages without echo, too; a reaction by its present state; in order; then what is
    new."""
    await miss_and_come_back(every_server, every_server, channel)


async def test_what_another_process_changed_comes_too(processes: Two, channel: str) -> None:
    await miss_and_come_back(*processes, channel)


async def miss_and_come_back(here: Server, there: Server, channel: str) -> None:
    async with (
        connect(here, uid="jim", channels=all_of(channel)) as jim,
        subscribed(there, channel, uid="tom", channels=all_of(channel)) as tom,
        backend(here) as api,
    ):
        _, epoch = await joined(jim, channel)
        first, gone = await jim.store(channel, 0), await jim.store(channel)
        await store(jim, channel, "k0", 0)
        await jim.react(channel, first, "a")
        since = [await tom.receive() for _ in range(4)][-1]["position"]
        for value in ("a", "b", "c"):
            await jim.react(channel, first, value, "remove" if value == "a" else "add")
        await jim.react(channel, gone)
        await jim.publish(channel, "own", "silent")
        await jim.publish(channel, event="typing")
        for key, value in (("k1", 1), ("k2", 2), ("unseen", 3), ("k2", None), ("k1", 4)):
            await store(jim, channel, key, value)
        await jim.react(channel, first, "b", "remove")
        await jim.settle()
        await api.published(channel, store=60, data="server's")
        short = await jim.store(channel, "expired")
        expire(here, short)
        await api.deleted(channel, gone)
        seen = [await tom.receive() for _ in range(14)]
        data = {"since": since, "epoch": epoch}
        async with back(there, channel, data) as (client, said, replayed):
            whole = {frame["position"]: frame for frame in seen if "position" in frame}
            assert said["recovered"] is True
            assert said["position"] == max(whole)
            assert [(each["event"], each.get("key"), value_of(each)) for each in replayed] == [
                (REMOVED, None, "a"),
                (ADDED, None, "c"),
                ("silent", None, "own"),
                (UPDATED, "k2", None),
                (UPDATED, "k1", 4),
                (REMOVED, None, "b"),
                ("chat", None, "server's"),
                (DELETED, None, None),
            ]
            for frame in replayed:
                missed = dict(whole[frame["position"]])
                missed["id"] = frame["id"] if "Reaction" in frame["event"] else missed.get("id")
                assert {**frame, "id": frame.get("id")} == missed
            assert positions(replayed) == sorted(positions(replayed))
            await jim.publish(channel, "new")
            assert (await client.receive("chat"))["data"] == "new"
        assert await recovered(there, channel, said["position"] + 1, epoch) == []


def value_of(frame: Frame) -> Any:
    data = frame["data"]
    return data.get("reaction") if isinstance(data, dict) else data


async def one_of_two_expires(jim: Client, server: Server, channel: str) -> str:
    """The channel's epoch; k1 and k2 are set, at 1 and 2, and k1 expires."""
    _, epoch = await joined(jim, channel)
    for key in ("k1", "k2"):
        await store(jim, channel, key, key)
        await jim.receive(UPDATED)
    expire_entries(server, channel, "k1")
    return epoch


async def test_an_entry_that_has_expired_since_comes_as_null(
    every_server: Server, channel: str
) -> None:
    async with connect(every_server, uid="jim", channels=all_of(channel)) as jim:
        epoch = await one_of_two_expires(jim, every_server, channel)
        frames = await recovered(every_server, channel, 0, epoch) or []
        assert [(each["key"], each["data"], each["meta"] is None) for each in frames] == [
            ("k1", None, True),
            ("k2", "k2", False),
        ]


async def test_an_entry_that_was_set_before_and_has_expired_since_comes_as_null(
    every_server: Server, channel: str
) -> None:
    """Not one of which a later message tells that it had expired before."""
    async with connect(every_server, uid="jim", channels=all_of(channel)) as jim:
        epoch = await one_of_two_expires(jim, every_server, channel)
        frames = await recovered(every_server, channel, 2, epoch) or []
        told = [(each["key"], each["data"], each["position"]) for each in frames]
        assert told == [("k1", None, 1)]
        await jim.store(channel)
        assert await recovered(every_server, channel, 3, epoch) == []


async def test_what_lies_before_the_window_stays_there(every_server: Server, channel: str) -> None:
    """The messages, the reactions to them, their deletion; not the storage."""
    async with (
        connect(every_server, uid="jim", channels=all_of(channel)) as jim,
        backend(every_server) as api,
    ):
        _, epoch = await joined(jim, channel)
        id, gone = await jim.fill(channel, 2)
        await store(jim, channel, "k", 1)
        await api.deleted(channel, gone)
        await jim.react(channel, id)
        await jim.settle()
        later = all_of(channel, historyStart=LATER)
        frames = await recovered(every_server, channel, 0, epoch, channels=later) or []
        assert [frame["event"] for frame in frames] == [UPDATED]


# --- where it cannot be -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "directives"),
    [
        ({"since": 1, "epoch": "another"}, {}),
        ({"since": 1}, {}),
        ({"since": 1, "epoch": None}, {}),
        ({"since": 3}, {}),
        ({"since": 10**30}, {}),
        ({"since": 1}, {"historyStart": None}),
    ],
    ids=["another epoch", "no epoch", "null", "above", "far above", "no historyStart"],
)
async def test_without_knowing_nothing_is_replayed(
    server: Server, channel: str, data: dict[str, Any], directives: dict[str, Any], request: Any
) -> None:
    """Storage comes as on any subscription."""
    channels = all_of(channel, **directives)
    async with connect(server, uid="jim", channels=channels) as jim:
        _, epoch = await joined(jim, channel)
        await jim.fill(channel, 1)
        await store(jim, channel, "k", 1)
        stored = await jim.receive(UPDATED)
        if request.node.callspec.id in ("above", "far above", "no historyStart"):
            data = {"epoch": epoch, **data}
        async with back(server, channel, data, channels=channels) as (client, said, _):
            assert (said["recovered"], "replayed" in said) == (False, False)
            assert (await client.receive()).text == stored.text
            await client.nothing()


async def test_who_does_not_ask_is_told_nothing_of_it(server: Server, channel: str) -> None:
    """An autoSubscribe does not."""
    channels = all_of(channel, autoSubscribe=True)
    async with connect(server, uid="jim", channels=channels) as jim:
        said = (await jim.receive("hotsock.subscribed"))["data"]
        assert said.keys() == {"autoSubscribed", "position", "epoch"}
        await jim.unsubscribe(channel)
        for data in ({"since": None, "epoch": said["epoch"]}, {"epoch": "e"}):
            await jim.send({"event": SUBSCRIBE, "channel": channel, "data": data})
            again = await jim.receive("hotsock.subscribed")
            assert again["data"].keys() == {"position", "epoch"}
            await jim.unsubscribe(channel)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("since", value) for value in (-1, 1.5, "1", True, [], {})),
        *(("epoch", value) for value in (1, "e" * 33, [], False)),
    ],
)
async def test_what_is_wrong_is_refused(
    server: Server, channel: str, field: str, value: Any
) -> None:
    data = {"since": 0, "epoch": "e", field: value}
    async with connect(server, uid="jim", channels=all_of(channel)) as jim:
        await jim.send({"event": SUBSCRIBE, "channel": channel, "data": data})
        frame = await jim.receive("hotsock.error")
        assert frame["error"]["code"] == "INVALID_MESSAGE"
        assert field in frame["error"]["message"]
        await jim.subscribe(channel)


async def test_a_thousand_changes_are_the_most(every_server: Server, channel: str) -> None:
    """Whoever sees them."""
    async with connect(every_server, uid="jim", channels=all_of(channel)) as jim:
        _, epoch = await joined(jim, channel)
        [id] = await jim.fill(channel, 1, "chat")
        for number in range(997):
            await jim.publish(channel, number, "silent")
        await jim.react(channel, id)
        await store(jim, channel, "unseen", 1)
        await jim.settle()
        frames = await recovered(every_server, channel, 0, epoch) or []
        assert positions(frames) == list(range(1, 1000))
        await store(jim, channel, "k", 1)
        await jim.receive(UPDATED)
        assert len(await recovered(every_server, channel, 1, epoch) or []) == 999
        data = {"since": 0, "epoch": epoch}
        async with back(every_server, channel, data) as (client, said, _):
            assert said["recovered"] is False
            await client.receive(UPDATED)


async def test_a_mebibyte_is_the_most(every_server: Server, channel: str) -> None:
    async with connect(every_server, uid="jim", channels=all_of(channel)) as jim:
        _, epoch = await joined(jim, channel)
        for _ in range(33):
            await jim.publish(channel, "x" * 32_000, "silent")
        await jim.settle()
        assert await recovered(every_server, channel, 0, epoch) is None
        assert len(await recovered(every_server, channel, 1, epoch) or []) == 32


# --- at full speed -------------------------------------------------------------------------------


@dataclass
class View:
    """What somebody knows of a channel by its frames."""

    last: int = 0
    messages: dict[str, Any] = field(default_factory=dict)
    reactions: dict[tuple[Any, ...], bool] = field(default_factory=dict)
    entries: dict[str, Any] = field(default_factory=dict)

    def take(self, frame: Frame) -> None:
        assert frame["position"] > self.last, "repeated, or out of order"
        self.last, data = frame["position"], frame["data"]
        match frame["event"]:
            case "chat":
                self.messages[frame["id"]] = data
            case "hotsock.messageDeleted":
                self.messages.pop(data["messageId"], None)
                gone = [key for key in self.reactions if key[0] == data["messageId"]]
                for key in gone:
                    del self.reactions[key]
            case "hotsock.channelStorageUpdated":
                self.entries[frame["key"]] = data
            case event:
                key = data["messageId"], data["reaction"], frame["meta"]["uid"]
                self.reactions[key] = event == ADDED

    @property
    def whole(self) -> Any:
        standing = {key for key, stands in self.reactions.items() if stands}
        entries = {key: value for key, value in self.entries.items() if value is not None}
        return self.messages, standing, entries


async def write(client: Client, api: Backend, channel: str, seed: int, end: asyncio.Event) -> None:
    """Publishes, reacts, stores and deletes, without waiting but for what it has to know."""
    choose, ids = random.Random(seed), [await client.store(channel)]
    for _ in range(300):  # fewer frames than are ever limited
        if end.is_set():
            break
        match choose.randrange(8):
            case 0:
                await client.react(channel, choose.choice(ids), choose.choice("abc"))
            case 1:
                await client.react(channel, choose.choice(ids), choose.choice("abc"), "remove")
            case 2:
                await store(client, channel, choose.choice(["k1", "k2", "k3"]), choose.random())
            case 3:
                await store(client, channel, choose.choice(["k1", "k2", "k3"]), None)
            case 4 if len(ids) > 5:  # on a busy machine it may be refused
                await api.delete(channel, ids.pop(choose.randrange(len(ids))))
            case 5:
                body = {"channel": channel, "event": "chat", "eagerIdGeneration": True}
                answered = await client.call("publishMessage", body)
                ids += [answered.json["id"]] if answered.status == 202 else []
            case _:
                await client.publish(channel, choose.random())
        await client.drain()


async def cut_again_and_again(two: Two, channel: str, view: View, epoch: str) -> int:
    """Reads a little at one server or the other, is cut off, and recovers."""
    choose, replays = random.Random(0), 0
    for turn in range(24):
        data = {"since": view.last, "epoch": epoch}
        async with connect(two[turn % 2], uid="tom", channels=all_of(channel)) as tom:
            await tom.send({"event": SUBSCRIBE, "channel": channel, "data": data})
            first = await tom.receive()
            if first["event"] == "hotsock.error":  # on a busy machine it may be refused
                assert first["error"]["code"] == "SERVICE_UNAVAILABLE"
                continue
            said = first["data"]
            assert said["recovered"]
            replays += said["replayed"]
            for read in range(choose.randrange(said["replayed"] + 20)):
                if read == said["replayed"]:
                    view.last = max(view.last, said["position"])
                view.take(await tom.receive())
            tom.socket.transport.abort()
    return replays


async def test_nothing_is_skipped_or_repeated_at_full_speed(processes: Two, channel: str) -> None:
    """In the end who was cut off again and again knows what knows who stayed."""
    end, cut, stayed = asyncio.Event(), View(), View()
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(
                subscribed(processes[n % 2], channel, uid=f"p{n}", channels=all_of(channel))
            )
            for n in range(4)
        ]
        apis = [await stack.enter_async_context(backend(server)) for server in processes]
        steady = await stack.enter_async_context(
            connect(processes[1], uid="ann", channels=all_of(channel))
        )
        _, epoch = await joined(steady, channel)
        writing = [
            asyncio.create_task(write(client, apis[n % 2], channel, n, end))
            for n, client in enumerate(opened)
        ]
        assert await cut_again_and_again(processes, channel, cut, epoch)
        end.set()
        await asyncio.gather(*writing)
        last = await opened[0].store(channel, "the end")
        while last not in stayed.messages:
            stayed.take(await steady.receive())
        for frame in await recovered(processes[0], channel, cut.last, epoch) or []:
            cut.take(frame)
    assert cut.whole == stayed.whole


# --- where the numbers began anew, or marks are gone --------------------------------------------


async def test_another_row_has_another_epoch(every_server: Server, channel: str) -> None:
    async with connect(every_server, uid="jim", channels=all_of(channel)) as jim:
        _, epoch = await joined(jim, channel)
        await jim.unsubscribe(channel)
    rows(every_server, "DELETE FROM chat_channel WHERE name = ?", channel)
    async with back(every_server, channel, {"since": 0, "epoch": epoch}) as (_, said, _):
        assert (said["recovered"], said["position"]) == (False, 0)
        assert said["epoch"] != epoch


async def test_after_a_restore_all_epochs_are_others(every_server: Server, channel: str) -> None:
    async with connect(every_server, uid="jim", channels=all_of(channel)) as jim:
        _, epoch = await joined(jim, channel)
    assert "another epoch" in manage(every_server.env, "renew_epochs").stdout
    async with back(every_server, channel, {"since": 0, "epoch": epoch}) as (_, said, _):
        assert said["recovered"] is False
        assert said["epoch"] != epoch


async def test_an_entry_whose_mark_is_gone_is_not_passed_over(
    every_server: Server, channel: str
) -> None:
    async with connect(every_server, uid="jim", channels=all_of(channel)) as jim:
        _, epoch = await joined(jim, channel)
        for value in (1, None, 2):
            await store(jim, channel, "k1" if value != 2 else "k2", value)
            await jim.receive(UPDATED)
        expire_entries(every_server, channel, "k1")
        frames = await recovered(every_server, channel, 1, epoch) or []
        assert [(each["key"], each["data"]) for each in frames] == [("k1", None), ("k2", 2)]
        manage(every_server.env, "purge_expired").check_returncode()
        data = {"since": 1, "epoch": epoch}
        async with back(every_server, channel, data) as (_, said, _):
            assert said["recovered"] is False
        assert len(await recovered(every_server, channel, 2, epoch) or []) == 1
