"""Messages and storage writes at their time (protocol.md section 13)."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import ANY
from zoneinfo import ZoneInfo

import pytest

from tests.support.client import Client, eventually
from tests.support.connecting import connect, subscribed
from tests.support.servers import SHORT_LEASE, Server, start_server
from tests.support.stored import SQLITE, rows
from tests.support.ulids import milliseconds
from tests.wire.test_storage import updated

FOR_EVER = 9_000_000_000
PUNCTUAL_SECONDS = 5.0  # here; that it waits for no look: tests/store/test_schedules.py


def room(channel: str, before: float | None = FOR_EVER) -> dict[str, Any]:
    """`chat` is stored, `typing` is not, `silent` does not come back, all keys may be written."""
    latest = {} if before is None else {"scheduleBefore": before}
    kinds = {"chat": {"echo": True, "store": -1}, "typing": {"echo": True}, "silent": {}}
    messages = {event: {"publish": True, **latest, **rest} for event, rest in kinds.items()}
    storage = {"*": {"get": True, "set": True, "observe": True, **latest}}
    return {channel: {"subscribe": True, "messages": messages, "storage": storage}}


def soon(seconds: float = 1) -> datetime:
    """The first whole second that lies at least so many seconds ahead."""
    return (datetime.now(UTC) + timedelta(seconds=seconds + 1)).replace(microsecond=0)


def at(moment: datetime, timezone: str | None = None) -> dict[str, str]:
    """The schedule fields for a moment."""
    wall = moment.astimezone(ZoneInfo(timezone or "UTC"))
    expression = {"scheduleExpression": wall.strftime("at(%Y-%m-%dT%H:%M:%S)")}
    return expression | ({"scheduleExpressionTimezone": timezone} if timezone else {})


def on_time(moment: datetime) -> None:
    """It is the moment now, or a little later."""
    late = time.time() - moment.timestamp()
    assert 0 <= late < PUNCTUAL_SECONDS, late


def publishing(channel: str, event: str = "chat", data: Any = 1, **rest: Any) -> dict[str, Any]:
    return {"event": event, "channel": channel, "data": data, **rest}


def setting(channel: str, key: str, data: Any, **rest: Any) -> dict[str, Any]:
    event = "hotsock.channelStorageSet"
    return {"event": event, "channel": channel, "key": key, "data": data, **rest}


def schedules(server: Server, channel: str) -> int:
    """How many things wait for their time in a channel."""
    [[count]] = rows(
        server,
        "SELECT count(*) FROM chat_schedule"
        " WHERE channel_id = (SELECT id FROM chat_channel WHERE name = ?)",
        channel,
    )
    return int(count)


def let_it_be(server: Server, moment: datetime, channel: str, what: str = "") -> None:
    """Moves what waits in a channel, where it has `what` in it, to another time: however long it
    took to schedule it, that lies ahead until now."""
    zone = "" if server.env["DATABASE_URL"].startswith(SQLITE) else "+00"
    rows(
        server,
        "UPDATE chat_schedule SET due_at = ? WHERE work LIKE ?"
        " AND channel_id = (SELECT id FROM chat_channel WHERE name = ?)",
        f"{moment.astimezone(UTC).replace(tzinfo=None)}{zone}",
        f"%{what}%",
        channel,
    )


# --- at its time --------------------------------------------------------------------------------


async def test_it_is_done_at_its_time_and_once(every_server: Server, channel: str) -> None:
    """Stored and not stored messages and storage writes, over both doors; in any zone."""
    moment = soon(3600)
    async with (
        subscribed(every_server, channel, uid="jim", umd=1, channels=room(channel)) as jim,
        subscribed(every_server, channel, uid="pam", channels=room(channel)) as pam,
    ):
        await jim.send(publishing(channel, data="a", **at(moment)))
        await jim.send(publishing(channel, "typing", "b", **at(moment, "Asia/Kathmandu")))
        await jim.send(publishing(channel, "silent", "c", **at(moment)))
        await jim.send(setting(channel, "k", "d", **at(moment, "America/New_York")))
        await jim.settle()  # else a call may overtake what was sent before it
        for operation, body in (
            ("publishMessage", publishing(channel, data="e", eagerIdGeneration=True)),
            ("channelStorageSet", setting(channel, "k", None)),
        ):
            answer = await jim.call(operation, {**body, **at(moment)})
            assert answer.status == 202
            arn = answer.json.pop("scheduleArn")
            assert isinstance(arn, str)
            assert arn
            assert answer.json == {"channel": channel, "event": body["event"]}
        assert await jim.history(channel) == []
        await pam.nothing(jim)
        moment = soon(0)
        let_it_be(every_server, moment, channel)

        meta = {"uid": "jim", "umd": 1}
        frames = [await pam.receive() for _ in range(6)]
        on_time(moment)
        ids = [frame.pop("id") for frame in frames if "id" in frame]
        assert frames == [
            {"event": "chat", "channel": channel, "data": "a", "meta": meta, "position": 1},
            {"event": "typing", "channel": channel, "data": "b", "meta": meta},
            {"event": "silent", "channel": channel, "data": "c", "meta": meta},
            updated(channel, "k", "d", "jim", 1),
            {"event": "chat", "channel": channel, "data": "e", "meta": meta, "position": ANY},
            updated(channel, "k", None, None),
        ]
        assert min(map(milliseconds, ids)) >= moment.timestamp() * 1000
        got = [(frame["event"], frame.get("data")) for frame in await jim.drain()]
        assert got == [
            ("chat", "a"),
            ("typing", "b"),
            ("hotsock.channelStorageUpdated", "d"),
            ("chat", "e"),
            ("hotsock.channelStorageUpdated", None),
        ]
        assert [row["id"] for row in await jim.history(channel)] == [ids[0], ids[-1]]
        assert schedules(every_server, channel) == 0
        await pam.nothing(jim)


async def test_it_is_done_though_its_sender_has_left(every_server: Server, channel: str) -> None:
    """With the sender's meta as it was; what another publishes meanwhile comes before it."""
    moment = soon(2)
    async with subscribed(every_server, channel, uid="pam", channels=room(channel)) as pam:
        async with subscribed(
            every_server, channel, uid="jim", umd=[1], channels=room(channel)
        ) as jim:
            await jim.send(publishing(channel, data="later", **at(moment)))
            await jim.settle()
        await pam.publish(channel, "sooner")
        assert (await pam.receive("chat"))["data"] == "sooner"
        later = await pam.receive("chat")
        on_time(moment)
        assert (later["data"], later["meta"]) == ("later", {"uid": "jim", "umd": [1]})
        history = await pam.history(channel)
        assert [row["data"] for row in history] == ["sooner", "later"]
        assert history[1]["meta"] == later["meta"]


@pytest.mark.parametrize("zone", [{}, {"scheduleExpressionTimezone": "Europe/Paris"}])
async def test_a_time_zone_without_an_expression_is_ignored(
    server: Server, channel: str, zone: dict[str, str]
) -> None:
    """Whatever it says; a null expression is none."""
    async with subscribed(server, channel, uid="jim", channels=room(channel, None)) as jim:
        for fields in (zone, {"scheduleExpression": None, "scheduleExpressionTimezone": "Nowhere"}):
            await jim.send(publishing(channel, **fields), setting(channel, "k", [fields], **fields))
            await jim.receive("chat")
            await jim.receive("hotsock.channelStorageUpdated")
            body = publishing(channel, eagerIdGeneration=True, **fields)
            answer = await jim.call("publishMessage", body)
            assert answer.json == {**answer.json, "channel": channel, "event": "chat"}
            assert answer.json.keys() == {"channel", "event", "id"}
            await jim.receive("chat")


# --- refused ------------------------------------------------------------------------------------

PAST = "at(2020-01-01T00:00:00)"
BAD = [
    (PAST, None),
    ("", None),
    ("at(2100-02-29T00:00:00)", None),
    ("rate(1 minute)", None),
    ("at(2100-01-01T00:00:00)", "Europe/Atlantis"),
    ("at(2100-01-01T00:00:00)", ""),
    ("at(2100-01-01T00:00:00)", "../../etc/passwd"),
    ("at(2027-03-28T02:30:00)", "Europe/Paris"),  # that night it does not exist
]


@pytest.mark.parametrize(("expression", "zone"), BAD)
async def test_a_time_that_is_past_or_does_not_exist_is_refused(
    server: Server, channel: str, expression: str, zone: str | None
) -> None:
    fields = {"scheduleExpression": expression, "scheduleExpressionTimezone": zone}
    code = "INVALID_SCHEDULE_EXPRESSION"
    async with subscribed(server, channel, uid="jim", channels=room(channel)) as jim:
        for frame in (publishing(channel, **fields), setting(channel, "k", 1, **fields)):
            await jim.send(frame)
            await jim.error(code, frame["event"], channel)
            operation = "publishMessage" if frame["event"] == "chat" else "channelStorageSet"
            assert (await jim.call(operation, frame)).refusal == (400, code)
        assert schedules(server, channel) == 0
        await jim.nothing()


async def test_schedule_before_must_reach_the_time(every_server: Server, channel: str) -> None:
    """To the second; and whoever may not do it now may not do it later either."""
    moment = soon(600)
    latest = moment.timestamp()
    for before, allowed in ((latest, True), (latest - 1, False), (None, False)):
        async with subscribed(
            every_server, channel, uid="jim", channels=room(channel, before)
        ) as jim:
            for frame in (publishing(channel), setting(channel, "k", 1)):
                await jim.send({**frame, **at(moment)})
                if not allowed:
                    await jim.error("SCHEDULE_PERMISSION_DENIED", frame["event"], channel)
            await jim.nothing()
            answer = await jim.call("channelStorageSet", setting(channel, "k", 1, **at(moment)))
            assert answer.status == (202 if allowed else 403)
            assert allowed or answer.code == "SCHEDULE_PERMISSION_DENIED"
    assert schedules(every_server, channel) == 3
    latest_only = {"scheduleBefore": FOR_EVER}
    none = {channel: {"messages": {"*": latest_only}, "storage": {"*": latest_only}}}
    async with connect(every_server, uid="jim", channels=none) as jim:
        await jim.send(publishing(channel, **at(moment)))
        await jim.error("PUBLISH_PERMISSION_DENIED", "chat", channel)
        await jim.send(setting(channel, "k", 1, **at(moment)))
        await jim.error("STORAGE_PERMISSION_DENIED", "hotsock.channelStorageSet", channel)
    async with connect(every_server, uid="jim", channels=room(channel)) as jim:
        await jim.send(publishing(channel, **at(moment)))
        await jim.error("NOT_SUBSCRIBED", "chat", channel)


async def test_a_reaction_cannot_be_scheduled(server: Server, channel: str) -> None:
    async with connect(server, uid="jim", channels=room(channel)) as jim:
        data = {"messageId": "0" * 26, "reaction": "+", "action": "add"}
        event = "hotsock.messageReaction"
        await jim.send(publishing(channel, event, data, **at(soon(60))))
        await jim.error("INVALID_SCHEDULE_EXPRESSION", event, channel)


# --- restarts, processes, many ------------------------------------------------------------------


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    with start_server("uvicorn", tmp_path, **SHORT_LEASE) as server:
        yield server


async def scheduled(client: Client, channel: str, count: int, moment: datetime) -> None:
    for number in range(count):
        await client.send(publishing(channel, data=number, **at(moment)))
    await client.settle()


async def data_in(server: Server, channel: str) -> list[Any]:
    """The data of a channel's history, in its order."""
    channels = {channel: {"subscribe": True, "historyStart": 0}}
    async with subscribed(server, channel, uid="eve", channels=channels) as eve:
        return [row["data"] for row in await eve.whole_history(channel)]


async def test_it_survives_restarts(own_server: Server, channel: str) -> None:
    """However the server ended: what became due meanwhile is done at once, the rest at its time;
    a second restart does nothing again."""
    later = at(soon(3600))
    async with subscribed(own_server, channel, uid="jim", channels=room(channel)) as jim:
        await jim.send(publishing(channel, data="ahead", **later))
        await jim.send(publishing(channel, data="missed", **later))
        await jim.send(setting(channel, "k", "missed", **later))
        await jim.settle()
    own_server.kill()
    let_it_be(own_server, soon(-60), channel, "missed")
    own_server.restart()
    async with connect(own_server, uid="pam", channels=room(channel)) as pam:

        async def entry() -> bool:
            got = await pam.call("channelStorageGet", {"channel": channel, "key": "k"})
            return bool(got.json["data"] == "missed")

        await eventually(entry)
        assert await data_in(own_server, channel) == ["missed"]
        await pam.subscribe(channel)
        await pam.receive("hotsock.channelStorageUpdated")
        let_it_be(own_server, soon(-1), channel, "ahead")
        assert (await pam.receive("chat"))["data"] == "ahead"
    own_server.restart()
    assert await data_in(own_server, channel) == ["missed", "ahead"]


async def test_of_several_processes_one_does_it(
    processes: tuple[Server, Server], channel: str
) -> None:
    """Exactly once, in the order in which it was scheduled."""
    one, other = processes
    later = soon(3600)
    async with (
        subscribed(one, channel, uid="jim", channels=room(channel)) as jim,
        subscribed(other, f"{channel}-2", uid="pam", channels=room(f"{channel}-2")) as pam,
    ):
        await asyncio.gather(
            scheduled(jim, channel, 100, later), scheduled(pam, f"{channel}-2", 100, later)
        )
        for each in (channel, f"{channel}-2"):
            let_it_be(one, soon(-1), each)

        async def all_done() -> bool:
            return not schedules(one, channel) + schedules(one, f"{channel}-2")

        await eventually(all_done)
        assert await data_in(one, channel) == list(range(100))
        assert await data_in(other, f"{channel}-2") == list(range(100))


@pytest.mark.parametrize("kind", ["server", "postgres_server"])
async def test_of_a_thousand_due_at_once_each_is_done(
    request: pytest.FixtureRequest, kind: str, channel: str
) -> None:
    running: Server = request.getfixturevalue(kind)
    later = soon(3600)
    async with AsyncExitStack() as stack:
        jims = [
            await stack.enter_async_context(connect(running, uid="jim", channels=room(channel)))
            for _ in range(4)
        ]
        pam = await stack.enter_async_context(connect(running, uid="pam", channels=room(channel)))
        await pam.subscribe(channel)
        for jim in jims:
            await jim.subscribe(channel)
        await asyncio.gather(*(scheduled(jim, channel, 250, later) for jim in jims))
        let_it_be(running, soon(-1), channel)
        got = [(await pam.receive("chat"))["data"] for _ in range(1000)]
        assert sorted(got) == sorted(list(range(250)) * 4)
