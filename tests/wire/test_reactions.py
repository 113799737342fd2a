"""Reacting to stored messages (protocol.md section 9)."""

import asyncio
import json
from typing import Any

import pytest

from tests.servers import Server
from tests.wire.client import Client, connect
from tests.wire.grants import STORED, room

EVENT = "hotsock.messageReaction"
KEPT = {"publish": True, "store": -1, "react": True}
ECHOED = {"chat": KEPT, EVENT: {"echo": True}}


async def reactions_to(client: Client, channel: str, message: str) -> list[dict[str, Any]]:
    answered = await client.call("listReactions", {"channel": channel, "messageId": message})
    assert answered.status == 200, answered.text
    assert answered.json.keys() == {"reactions"}
    listed: list[dict[str, Any]] = answered.json["reactions"]
    return listed


async def test_a_reaction_on_the_wire(every_server: Server, channel: str) -> None:
    """Added and removed: to the others, to other connections of the same uid and, with echo, to
    the connection that reacted."""
    channels = room(channel, ECHOED)
    async with (
        connect(every_server, uid="jim", umd={"a": 1}, channels=channels) as jim,
        connect(every_server, uid="jim", channels=channels) as same,
        connect(every_server, uid="pam", channels=channels) as pam,
    ):
        for client in (jim, same, pam):
            await client.subscribe(channel)
        message = await pam.store(channel)
        await same.receive("chat")
        await jim.receive("chat")
        for action, event in (("add", f"{EVENT}Added"), ("remove", f"{EVENT}Removed")):
            await jim.react(channel, message, "👍", action)
            frames = [await client.receive() for client in (jim, same, pam)]
            assert frames[0].text == frames[1].text == frames[2].text
            assert len(frames[0].pop("id")) == 26
            assert frames[0] == {
                "event": event,
                "channel": channel,
                "data": {"messageId": message, "reaction": "👍", "action": action},
                "meta": {"uid": "jim", "umd": {"a": 1}},
            }
        for client in (jim, same, pam):
            await client.nothing()


@pytest.mark.parametrize("over", ["socket", "HTTP"])
@pytest.mark.parametrize("echo", [True, False, None])
async def test_the_reacting_connection_gets_it_only_with_echo(
    any_server: Server, channel: str, echo: bool | None, over: str
) -> None:
    """With `echo` on hotsock.messageReaction; that of the message's event does not count."""
    messages: dict[str, Any] = {"chat": STORED}
    if echo is not None:
        messages[EVENT] = {"echo": echo}
    async with (
        connect(any_server, uid="jim", channels=room(channel, messages)) as jim,
        connect(any_server, uid="jim", channels=room(channel, messages)) as same,
    ):
        await jim.subscribe(channel)
        await same.subscribe(channel)
        message = await jim.store(channel)
        await jim.receive("chat")
        await same.receive("chat")
        if over == "socket":
            await jim.react(channel, message)
        else:
            data = {"messageId": message, "reaction": "👍", "action": "add"}
            body = {"channel": channel, "event": EVENT, "data": data}
            answered = await jim.call("publishMessage", body)
            assert answered.status == 202
            assert answered.json == {"channel": channel, "event": EVENT}
        if echo:
            await jim.receive(f"{EVENT}Added")
        await jim.nothing()
        await same.receive(f"{EVENT}Added")
        await same.nothing()


async def test_what_changes_nothing_sends_nothing(every_server: Server, channel: str) -> None:
    """Removing what is not there, adding again, also from another connection of the uid."""
    channels = room(channel, ECHOED)
    async with (
        connect(every_server, uid="jim", channels=channels) as jim,
        connect(every_server, uid="jim", channels=channels) as same,
        connect(every_server, uid="pam", channels=channels) as pam,
    ):
        for client in (jim, same, pam):
            await client.subscribe(channel)
        message = await jim.store(channel)
        await same.receive("chat")
        await pam.receive("chat")
        await jim.react(channel, message, action="remove")
        await jim.nothing()
        await jim.react(channel, message)
        await jim.react(channel, message)
        await jim.settle()
        await same.react(channel, message)
        await same.settle()
        await pam.react(channel, message, action="remove")
        for client in (jim, same, pam):
            await client.receive(f"{EVENT}Added")
        for client in (jim, same, pam):
            await client.nothing(jim, same, pam)
        assert await reactions_to(pam, channel, message) == [{"reaction": "👍", "uid": "jim"}]


async def test_of_many_simultaneous_adds_one_counts(every_server: Server, channel: str) -> None:
    """Five connections of one uid at once, then five removes."""
    channels = room(channel, ECHOED)
    async with (
        connect(every_server, uid="pam", channels=channels) as pam,
        connect(every_server, uid="jim", channels=channels) as a,
        connect(every_server, uid="jim", channels=channels) as b,
        connect(every_server, uid="jim", channels=channels) as c,
        connect(every_server, uid="jim", channels=channels) as d,
        connect(every_server, uid="jim", channels=channels) as e,
    ):
        jims = (a, b, c, d, e)
        for client in jims:
            await client.subscribe(channel)
        await pam.subscribe(channel)
        message = await pam.store(channel)
        for action, event in (("add", "Added"), ("remove", "Removed")):
            await asyncio.gather(*(jim.react(channel, message, "👍", action) for jim in jims))
            for jim in jims:
                await jim.settle()
            await pam.receive(f"{EVENT}{event}")
            await pam.nothing()
        assert await reactions_to(pam, channel, message) == []


async def test_each_uid_may_have_each_reaction_once(every_server: Server, channel: str) -> None:
    """Listed in the order of reacting; one that was taken back and given again comes last."""
    channels = room(channel, {"chat": KEPT})
    async with (
        connect(every_server, uid="Jim", umd={"age": 1}, channels=channels) as jim,
        connect(every_server, uid="Pam", channels=channels) as pam,
    ):
        await jim.subscribe(channel)
        await pam.subscribe(channel)
        message = await jim.store(channel)
        steps = [(jim, "👍"), (pam, "👍"), (jim, "❤️"), (jim, "❤")]
        for client, reaction in steps:
            await client.react(channel, message, reaction)
            await client.settle()
        jims = {"uid": "Jim", "umd": {"age": 1}}
        expected = [
            {"reaction": "👍", **jims},
            {"reaction": "👍", "uid": "Pam"},
            {"reaction": "❤️", **jims},
            {"reaction": "❤", **jims},
        ]
        assert await reactions_to(pam, channel, message) == expected
        for action in ("remove", "add"):
            await jim.react(channel, message, "👍", action)
        await jim.settle()
        assert await reactions_to(pam, channel, message) == [*expected[1:], expected[0]]


# --- what is needed -----------------------------------------------------------------------------


async def test_it_needs_an_active_subscription(any_server: Server, channel: str) -> None:
    async with (
        connect(any_server, uid="jim", channels=room(channel)) as jim,
        connect(any_server, uid="pam", channels=room(channel)) as pam,
    ):
        await pam.subscribe(channel)
        message = await pam.store(channel)
        await jim.react(channel, message)
        await jim.error("NOT_SUBSCRIBED", EVENT, channel)
        data = {"messageId": message, "reaction": "👍", "action": "add"}
        body = {"channel": channel, "event": EVENT, "data": data}
        assert (await jim.call("publishMessage", body)).refusal == (403, "NOT_SUBSCRIBED")
        refused = await jim.call("listReactions", {"channel": channel, "messageId": message})
        assert refused.refusal == (403, "NOT_SUBSCRIBED")
        assert await reactions_to(pam, channel, message) == []


@pytest.mark.parametrize("uid", [None, ""])
async def test_it_needs_a_uid(any_server: Server, channel: str, uid: str | None) -> None:
    async with connect(any_server, uid=uid, channels=room(channel)) as client:
        await client.subscribe(channel)
        message = await client.store(channel)
        await client.receive("chat")
        await client.react(channel, message)
        await client.error("REACT_PERMISSION_DENIED", EVENT, channel)
        assert await reactions_to(client, channel, message) == []


async def test_it_needs_a_stored_message_of_that_channel(any_server: Server, channel: str) -> None:
    other = f"{channel}-other"
    messages = {"chat": KEPT, "typing": {"publish": True, "echo": True, "react": True}}
    channels = room(channel, messages) | room(other, messages)
    async with connect(any_server, uid="jim", channels=channels) as client:
        await client.subscribe(channel)
        await client.subscribe(other)
        elsewhere = await client.store(other)
        await client.publish(channel, event="typing")
        passing = (await client.receive("typing"))["id"]
        for message in (elsewhere, passing, "0" * 26, "nonsense", "", passing.lower()):
            for action in ("add", "remove"):
                await client.react(channel, message, action=action)
                await client.error("MESSAGE_NOT_FOUND", EVENT, channel)
            listing = {"channel": channel, "messageId": message}
            refused = await client.call("listReactions", listing)
            assert refused.refusal == (404, "MESSAGE_NOT_FOUND")
        assert await reactions_to(client, other, elsewhere) == []


REACT_TABLE = [
    # react of chat, of hotsock.messageReaction, reaction, allowed
    (True, None, "anything at all", True),
    (["👍"], None, "👍", True),
    (["👍"], None, "👎", False),
    (["❤️"], None, "❤", False),  # without the variation selector it is another one
    (False, True, "👍", False),
    (None, True, "👍", False),
    (None, None, "👍", False),
]


@pytest.mark.parametrize(("react", "elsewhere", "reaction", "allowed"), REACT_TABLE)
async def test_the_target_messages_event_says_which_reactions(
    any_server: Server, channel: str, react: Any, elsewhere: Any, reaction: str, allowed: bool
) -> None:
    messages: dict[str, Any] = {
        "chat": {"publish": True, "store": -1, "react": react},
        EVENT: {"react": elsewhere, "echo": True, "publish": True},
    }
    async with connect(any_server, uid="jim", channels=room(channel, messages)) as client:
        await client.subscribe(channel)
        message = await client.store(channel)
        await client.react(channel, message, reaction)
        if allowed:
            await client.receive(f"{EVENT}Added")
        else:
            await client.error("REACT_PERMISSION_DENIED", EVENT, channel)
        assert len(await reactions_to(client, channel, message)) == allowed


async def test_no_leave_to_publish_is_needed(any_server: Server, channel: str) -> None:
    """Neither of the message's event nor of hotsock.messageReaction."""
    messages = {"chat": {"publish": False, "react": ["👍"]}}
    async with (
        connect(any_server, uid="jim", channels=room(channel)) as jim,
        connect(any_server, uid="pam", channels=room(channel, messages)) as pam,
    ):
        await jim.subscribe(channel)
        await pam.subscribe(channel)
        message = await jim.store(channel)
        await jim.receive("chat")
        await pam.react(channel, message)
        await jim.receive(f"{EVENT}Added")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"action": "toggle"}, "INVALID_MESSAGE"),
        ({"action": None}, "INVALID_MESSAGE"),
        ({"action": ""}, "INVALID_MESSAGE"),
        ({"messageId": 1}, "INVALID_MESSAGE"),
        ({"messageId": None}, "INVALID_MESSAGE"),
        ({"reaction": 1}, "INVALID_MESSAGE"),
        ({"reaction": ["👍"]}, "INVALID_MESSAGE"),
        ({"reaction": ""}, "INVALID_REACTION"),
    ],
)
async def test_wrong_fields_are_told(
    any_server: Server, channel: str, change: dict[str, Any], code: str
) -> None:
    async with connect(any_server, uid="jim", channels=room(channel)) as client:
        await client.subscribe(channel)
        message = await client.store(channel)
        await client.receive("chat")
        data = {"messageId": message, "reaction": "👍", "action": "add", **change}
        await client.send({"event": EVENT, "channel": channel, "data": data})
        await client.error(code, EVENT, channel)
        body = {"channel": channel, "event": EVENT, "data": data}
        assert (await client.call("publishMessage", body)).refusal == (400, code)
        assert await reactions_to(client, channel, message) == []


# --- the window ---------------------------------------------------------------------------------


async def test_reactions_are_listed_inside_the_callers_window_alone(
    every_server: Server, channel: str
) -> None:
    """A message from before: one may react to it, since that needs no window, but not list."""
    async with (
        connect(every_server, uid="jim", channels=room(channel, historyStart=0)) as jim,
        connect(every_server, uid="pam", channels=room(channel)) as pam,
    ):
        await jim.subscribe(channel)
        before = await jim.store(channel)
        await pam.subscribe(channel)
        after = await jim.store(channel)
        assert (await pam.receive("chat"))["id"] == after
        for message in (before, after):
            await pam.react(channel, message)
        await pam.nothing()
        refused = await pam.call("listReactions", {"channel": channel, "messageId": before})
        assert refused.refusal == (404, "MESSAGE_NOT_FOUND")
        assert await reactions_to(pam, channel, after) == [{"reaction": "👍", "uid": "pam"}]
        assert await reactions_to(jim, channel, before) == [{"reaction": "👍", "uid": "pam"}]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        '{"channel":1}',
        '{"channel":"CHANNEL"}',
        '{"channel":"CHANNEL","messageId":1}',
        r'{"channel":"CHANNEL","messageId":"\u0000"}',
        r'{"channel":"CHANNEL","messageId":"\ud83d"}',
    ],
)
async def test_a_malformed_listing_is_refused(
    every_server: Server, channel: str, body: str
) -> None:
    async with connect(every_server, uid="jim", channels=room(channel)) as client:
        await client.subscribe(channel)
        refused = await client.call("listReactions", body.replace("CHANNEL", channel))
        assert refused.status == 400
        assert refused.code in ("INVALID_REQUEST", "INVALID_MESSAGE")


# --- order --------------------------------------------------------------------------------------


async def test_reactions_and_messages_have_one_order(every_server: Server, channel: str) -> None:
    """Three people react, add and remove, while others write: everyone sees the same sequence, and
    what it ends in is what the lists say."""
    rounds = 40
    messages = {"chat": {**KEPT, "echo": True}, EVENT: {"echo": True}}
    channels = room(channel, messages, historyStart=0)
    async with (
        connect(every_server, uid="a", channels=channels) as a,
        connect(every_server, uid="b", channels=channels) as b,
        connect(every_server, uid="c", channels=channels) as c,
    ):
        clients = (a, b, c)
        for client in clients:
            await client.subscribe(channel)
        target = await a.store(channel, "target")

        async def act(client: Client) -> None:
            for turn in range(rounds):
                await client.publish(channel, turn)
                action = ("add", "remove", "add")[turn % 3]
                await client.react(channel, target, "👍", action)
            await client.settle()

        await asyncio.gather(*(act(client) for client in clients))
        seen = [[frame.text for frame in await client.drain()] for client in clients]
        assert seen[0] == seen[1] == seen[2]
        [summary] = [
            message["reactions"]["👍"]["items"]
            for message in await a.history(channel, expandReactions=True)
            if message["id"] == target
        ]
        standing: list[str] = []
        for text in seen[0]:
            frame = json.loads(text)
            if frame["event"] == f"{EVENT}Added":
                standing.append(frame["meta"]["uid"])
            elif frame["event"] == f"{EVENT}Removed":
                standing.remove(frame["meta"]["uid"])
        assert [item["uid"] for item in summary] == standing
