"""Acknowledgement and idempotency (protocol.md section 19)."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.acks import (
    LATER,
    acked,
    done,
    entry,
    frame,
    operation_of,
    reaction,
    refused,
    rights,
)
from tests.support.backend import backend
from tests.support.calls import LIMIT_SECONDS, compact
from tests.support.client import Client
from tests.support.connecting import connect, subscribed
from tests.support.servers import Server, token
from tests.support.stored import PAST, expire, rows

# --- when it is done ------------------------------------------------------------------------------


async def test_each_operation_is_acknowledged_behind_its_echo(
    every_server: Server, channel: str
) -> None:
    """With the id of a message, the position of a change, the name of a schedule."""
    async with subscribed(every_server, channel, channels=rights(channel), uid="jim") as jim:
        chat, said = await done(jim, frame(channel))
        assert said == {"id": chat["id"], "position": 1}
        for event in ("typing", "reported"):
            echo, said = await done(jim, frame(channel, event))
            assert said == {"id": echo["id"]}
        for number, sent in enumerate(
            [reaction(channel, chat["id"]), entry(channel), reaction(channel, chat["id"], "remove")]
        ):
            echo, said = await done(jim, sent)
            assert said == {"position": number + 2} == {"position": echo["position"]}
        await jim.send(silent := frame(channel, "silent"))
        said = await acked(jim, silent)
        assert said.keys() == {"id", "position"}
        assert (await jim.history(channel))[-1]["id"] == said["id"]
        for sent in (frame(channel, scheduleExpression=LATER), entry(channel, 2)):
            sent["scheduleExpression"] = LATER
            await jim.send(sent)
            assert (await acked(jim, sent)).keys() == {"scheduleArn"}


async def test_what_changes_nothing_is_acknowledged_without_a_position(
    server: Server, channel: str
) -> None:
    async with subscribed(server, channel, channels=rights(channel), uid="jim") as jim:
        chat, _ = await done(jim, frame(channel))
        for make in (lambda: reaction(channel, chat["id"]), lambda: entry(channel)):
            await done(jim, make())
            await jim.send(again := make())
            assert await acked(jim, again) == {}


async def test_the_acks_of_a_read_come_in_order_each_behind_its_own_echo(
    any_server: Server, channel: str
) -> None:
    """Stored ones, which do not wait for each other, and others between them."""
    events = [*["chat"] * 20, *["typing"] * 5, "chat", "typing", *["chat"] * 3]
    sent = [frame(channel, event, at) for at, event in enumerate(events)]
    sent[3]["ack"] = sent[21]["ack"] = None  # asks for none
    async with subscribed(any_server, channel, channels=rights(channel)) as jim:
        await jim.send(*sent)
        await jim.settle()
        frames = await jim.drain()
        seen = [each["data"] for each in frames if each["event"] != "hotsock.ack"]
        assert seen == list(range(len(sent)))
        told = [each["data"]["ack"] for each in frames if each["event"] == "hotsock.ack"]
        assert told == [each["ack"] for each in sent if each["ack"]]
        ids = [each.get("id") for each in frames]
        for at, each in enumerate(frames):
            if each["event"] == "hotsock.ack":
                assert each["data"]["id"] in ids[:at]


async def test_an_alias_is_answered_with_the_real_name(server: Server, channel: str) -> None:
    channels = {channel: {**rights(channel)[channel], "alias": "room"}}
    async with subscribed(server, channel, channels=channels, uid="jim") as jim:
        await jim.send(sent := frame("room", "silent"))
        received = await jim.receive("hotsock.ack")
        assert received["channel"] == channel
        again = await jim.call("publishMessage", {**sent, "channel": channel})
        assert again.json["repeated"] is True


# --- refusals -------------------------------------------------------------------------------------


async def test_a_refusal_names_the_ack(server: Server, channel: str) -> None:
    """Wherever it is found: in the fields, the names, the rights, the database."""
    missing = "01HF7YAT00ABCDEFGHJKMNPQRS"
    cases = {
        "INVALID_MESSAGE": frame(channel, key=5),
        "INVALID_EVENT_NAME": frame(channel, "a*"),
        "PUBLISH_PERMISSION_DENIED": frame(channel, "unknown"),
        "MESSAGE_NOT_FOUND": reaction(channel, missing),
        "INVALID_SCHEDULE_EXPRESSION": frame(channel, scheduleExpression="at(2000-01-01T00:00:00)"),
        "DATA_TOO_LARGE": frame(channel, data="x" * 33 * 1024),
        "STORAGE_PERMISSION_DENIED": {**entry(f"{channel}-2")},
    }
    async with subscribed(server, channel, channels=rights(channel), uid="jim") as jim:
        for code, sent in cases.items():
            await refused(jim, sent, code)
            over_http = await jim.call(operation_of(sent), sent)
            assert over_http.json["error"]["code"] == code
            assert over_http.json["error"]["ack"] == sent["ack"]


BAD: list[Any] = ["a" * 15, "a" * 65, "a" * 15 + "+", "a" * 15 + "é", "a" * 16 + "\n", 5]


@pytest.mark.parametrize("ack", BAD)
async def test_an_ack_of_another_form_is_refused_and_nothing_is_done(
    server: Server, channel: str, ack: Any
) -> None:
    async with subscribed(server, channel, channels=rights(channel), uid="jim") as jim:
        for sent in (frame(channel, ack=ack), entry(channel, ack=ack)):
            await jim.send(sent)
            error = (await jim.receive("hotsock.error"))["error"]
            assert error["code"] == "INVALID_MESSAGE"
            assert "ack" in error["message"]
            assert "ack" not in error
        for body in (frame(channel, ack=ack), entry(channel, ack=ack)):
            answer = await jim.call(operation_of(body), body)
            assert answer.refusal == (400, "INVALID_MESSAGE")
            assert "ack" not in answer.json["error"]
        await jim.nothing()
        assert await jim.history(channel) == []


async def test_null_asks_for_none_and_the_server_api_knows_none(
    server: Server, channel: str
) -> None:
    async with subscribed(server, channel, channels=rights(channel)) as jim:
        await jim.send(frame(channel, "silent", ack=None))
        await jim.nothing()
        answer = await jim.call("publishMessage", frame(channel, "silent", ack=None))
        assert answer.json == {"channel": channel, "event": "silent"}


# --- once -----------------------------------------------------------------------------------------


async def repeated(client: Client, sent: dict[str, Any], said: dict[str, Any]) -> None:
    """Over the socket and over HTTP it is acknowledged as it was the first time."""
    await client.send(sent)
    assert await acked(client, sent) == {**said, "repeated": True}
    answer = await client.call(operation_of(sent), sent)
    assert answer.status == 202
    about = {name: sent[name] for name in ("channel", "event", "ack")}
    told = {name: value for name, value in said.items() if name != "position"}
    assert answer.json == {**about, **told, "repeated": True}


async def test_a_repeat_does_nothing_and_is_told_what_the_first_was(
    every_server: Server, channel: str
) -> None:
    """Also from another connection of the same uid."""
    channels = rights(channel)
    async with (
        subscribed(every_server, channel, channels=channels, uid="jim") as jim,
        subscribed(every_server, channel, channels=channels, uid="jim") as again,
    ):
        chat, said = await done(jim, first := frame(channel))
        done_once = [(first, said)]
        changes = reaction(channel, chat["id"]), entry(channel)
        done_once += [(sent, (await done(jim, sent))[1]) for sent in changes]
        later = {"scheduleExpression": LATER, "scheduleExpressionTimezone": "Europe/Paris"}
        for sent in (frame(channel, **later), entry(channel, 2, **later)):
            await jim.send(sent)
            done_once.append((sent, await acked(jim, sent)))
        for _ in range(3):
            await again.receive()
        for sent, said in done_once:
            await repeated(jim, sent, said)
            await repeated(again, sent, said)
        await jim.nothing(again)
        assert [each["id"] for each in await jim.history(channel)] == [chat["id"]]
        schedules = "SELECT id FROM chat_schedule WHERE channel_id = (SELECT id FROM chat_channel"
        assert len(rows(every_server, f"{schedules} WHERE name = ?)", channel)) == 2


async def test_the_sender_is_the_uid_or_without_one_the_connection(
    server: Server, channel: str
) -> None:
    """Another sender's ack, and one on another channel, is another."""
    channels = rights(channel) | rights(f"{channel}-2")
    sent = frame(channel, "silent")
    async with (
        subscribed(server, channel, channels=channels) as nobody,
        subscribed(server, channel, channels=channels) as other,
        subscribed(server, channel, channels=channels, uid=nobody.id) as named,
        connect(server, channels=channels, uid="jim") as pam,
        subscribed(server, channel, channels=channels, uid="pam") as same,
    ):
        claims = {"connectionId": pam.id, "uid": "pam", "channels": channels}
        await pam.subscribe(channel, token(server, scope="subscribe", **claims))
        for client in (nobody, other, named, pam):
            await client.send(sent)
        for client in (nobody, other, named, pam):
            answer = await client.call("publishMessage", sent)
            assert answer.json["repeated"] is True
        elsewhere = {**sent, "channel": f"{channel}-2"}
        await same.drain()
        await same.subscribe(f"{channel}-2")
        await same.send(sent, elsewhere)
        said = [each["data"].get("repeated", False) for each in await same.drain()]
        assert said == [True, False]
        assert len(await same.history(channel)) == 4


SCHEDULED = {"scheduleExpression": LATER}
CHANGES: list[dict[str, Any]] = [{"data": 2}, {"data": "1"}, SCHEDULED, {"key": "b"}]


async def test_an_ack_of_something_else_is_refused(every_server: Server, channel: str) -> None:
    """Data is compared as it was sent."""
    async with subscribed(every_server, channel, channels=rights(channel), uid="jim") as jim:
        for make in (frame, entry):
            await done(jim, first := make(channel, data={"a": 1}))
            spaced = compact(first).replace('{"a":1}', '{"a": 1}')
            await jim.send(spaced)
            assert (await jim.receive("hotsock.error"))["error"]["ack"] == first["ack"]
            for change in (*CHANGES, {"event": "silent"}):
                await refused(jim, {**first, **change}, "INVALID_MESSAGE")
            answer = await jim.call(operation_of(first), {**first, "data": 2})
            assert answer.refusal == (400, "INVALID_MESSAGE")
        assert len(await jim.history(channel)) == 1
        await jim.nothing()


async def test_a_repeat_needs_the_same_rights(server: Server, channel: str) -> None:
    none = {"subscribe": True, "messages": {"chat": {"react": False}}}
    async with (
        subscribed(server, channel, channels=rights(channel), uid="jim") as jim,
        subscribed(server, channel, channels={channel: none}, uid="jim") as again,
        connect(server, channels=rights(channel), uid="jim") as outside,
    ):
        chat, _ = await done(jim, first := frame(channel))
        await done(jim, reacting := reaction(channel, chat["id"]))
        await done(jim, setting := entry(channel))
        await again.drain()
        later = entry(channel, scheduleExpression=LATER)
        await jim.send(later)
        await acked(jim, later)
        await refused(again, first, "PUBLISH_PERMISSION_DENIED")
        await refused(again, reacting, "REACT_PERMISSION_DENIED")
        await refused(again, setting, "STORAGE_PERMISSION_DENIED")
        await refused(again, later, "STORAGE_PERMISSION_DENIED")
        await refused(outside, first, "NOT_SUBSCRIBED")
        await refused(outside, reacting, "NOT_SUBSCRIBED")


async def test_a_reaction_whose_message_has_gone_is_acknowledged_again(
    every_server: Server, channel: str
) -> None:
    async with (
        subscribed(every_server, channel, channels=rights(channel), uid="jim") as jim,
        subscribed(every_server, channel, channels=rights(channel), uid="pam") as pam,
    ):
        chat, _ = await done(jim, frame(channel))
        _, said = await done(jim, reacting := reaction(channel, chat["id"]))
        expire(every_server, chat["id"])
        await repeated(jim, reacting, said)
        await pam.drain()
        await refused(pam, reacting, "MESSAGE_NOT_FOUND")
        await refused(jim, reaction(channel, chat["id"]), "MESSAGE_NOT_FOUND")


async def test_what_was_refused_is_not_remembered(server: Server, channel: str) -> None:
    async with subscribed(server, channel, channels=rights(channel), uid="jim") as jim:
        sent = reaction(channel, "01HF7YAT00ABCDEFGHJKMNPQRS")
        await refused(jim, sent, "MESSAGE_NOT_FOUND")
        _, said = await done(jim, {**frame(channel), "ack": sent["ack"]})
        assert "repeated" not in said


async def test_an_ack_is_remembered_for_600_seconds(every_server: Server, channel: str) -> None:
    until = "SELECT expires_at FROM chat_acknowledgement WHERE ack = ?"
    age = "UPDATE chat_acknowledgement SET expires_at = ? WHERE ack = ?"
    async with subscribed(every_server, channel, channels=rights(channel)) as jim:
        before = datetime.now(UTC)
        first, _ = await done(jim, sent := frame(channel))
        [[expires]] = rows(every_server, until, sent["ack"])
        moment = datetime.fromisoformat(f"{expires}+00:00") if isinstance(expires, str) else expires
        seconds = (moment - before).total_seconds()
        assert 600 <= seconds < 600 + LIMIT_SECONDS
        rows(every_server, age, PAST, sent["ack"])
        second, said = await done(jim, sent)
        assert second["id"] > first["id"]
        assert "repeated" not in said
        await repeated(jim, sent, said)


async def test_what_is_not_stored_is_acknowledged_each_time(server: Server, channel: str) -> None:
    async with subscribed(server, channel, channels=rights(channel), uid="jim") as jim:
        sent = frame(channel, "typing")
        ids = [(await done(jim, sent))[1]["id"] for _ in range(2)]
        answer = await jim.call("publishMessage", sent)
        await jim.receive("typing")
        about = {"channel": channel, "event": "typing", "ack": sent["ack"]}
        assert answer.json == {**about, "id": answer.json["id"]}
        assert len({*ids, answer.json["id"]}) == 3


async def test_acks_and_deduplication_ids_do_not_meet(server: Server, channel: str) -> None:
    async with (
        subscribed(server, channel, channels=rights(channel), uid="jim") as jim,
        backend(server) as application,
    ):
        sent = frame(channel, "silent")
        body = {"channel": channel, "event": "silent", "data": 1, "store": -1}
        body |= {"deduplicationId": sent["ack"], "ack": 5}  # unknown there, so it is ignored
        published = await application.call("POST", "/publish", body)
        assert published.json == {"channel": channel, "event": "silent"}
        await jim.receive("silent")
        await jim.send(sent)
        assert "repeated" not in await acked(jim, sent)
        assert len(await jim.history(channel)) == 2


async def test_two_processes_that_get_it_at_once_do_it_once(
    processes: tuple[Server, Server], channel: str
) -> None:
    """And both senders, tabs of one person, are told the same behind the echo."""
    async with (
        subscribed(processes[0], channel, channels=rights(channel), uid="jim") as one,
        subscribed(processes[1], channel, channels=rights(channel), uid="jim") as other,
    ):
        sent = [frame(channel, data=number) for number in range(50)]
        await asyncio.gather(one.send(*sent), other.send(*sent))
        told: list[list[dict[str, Any]]] = []
        for client in (one, other):
            frames = [await client.receive() for _ in range(2 * len(sent))]
            echoes = [each for each in frames if each["event"] == "chat"]
            acks = [each["data"] for each in frames if each["event"] == "hotsock.ack"]
            assert [each["data"] for each in echoes] == list(range(len(sent)))
            assert [each["ack"] for each in acks] == [each["ack"] for each in sent]
            for at, each in enumerate(frames):
                if each["event"] == "hotsock.ack":
                    assert each["data"]["id"] in [echo.get("id") for echo in frames[:at]]
            told.append(acks)
            await client.nothing()
        for first, second in zip(*told, strict=True):
            assert (first["id"], first["position"]) == (second["id"], second["position"])
            assert [first, second].count({**first, "repeated": True}) == 1
