"""Reacting to stored messages (protocol.md section 9)."""

import asyncio
from typing import Any

import pytest

from tests.support.connecting import connect, subscribed
from tests.support.grants import STORED, room
from tests.support.servers import Server

EVENT = "hotsock.messageReaction"


KEPT = {"publish": True, "store": -1, "react": True}


ECHOED = {"chat": KEPT, EVENT: {"echo": True}}


async def test_a_reaction_on_the_wire(every_server: Server, channel: str) -> None:
    """Added and removed: to the others, to other connections of the same uid and, with echo, to
    the connection that reacted."""
    channels = room(channel, ECHOED)
    async with (
        subscribed(every_server, channel, uid="jim", umd={"a": 1}, channels=channels) as jim,
        subscribed(every_server, channel, uid="jim", channels=channels) as same,
        subscribed(every_server, channel, uid="pam", channels=channels) as pam,
    ):
        message = await pam.store(channel)
        await same.receive("chat")
        await jim.receive("chat")
        for position, action, event in (
            (2, "add", f"{EVENT}Added"),
            (3, "remove", f"{EVENT}Removed"),
        ):
            await jim.react(channel, message, "👍", action)
            frames = [await client.receive() for client in (jim, same, pam)]
            assert frames[0].text == frames[1].text == frames[2].text
            assert len(frames[0].pop("id")) == 26
            assert frames[0] == {
                "event": event,
                "channel": channel,
                "data": {"messageId": message, "reaction": "👍", "action": action},
                "meta": {"uid": "jim", "umd": {"a": 1}},
                "position": position,
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
        subscribed(any_server, channel, messages, uid="jim") as jim,
        subscribed(any_server, channel, messages, uid="jim") as same,
    ):
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
        subscribed(every_server, channel, uid="jim", channels=channels) as jim,
        subscribed(every_server, channel, uid="jim", channels=channels) as same,
        subscribed(every_server, channel, uid="pam", channels=channels) as pam,
    ):
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
        assert await pam.reactions(channel, message) == [{"reaction": "👍", "uid": "jim"}]


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
        assert await pam.reactions(channel, message) == []


async def test_each_uid_may_have_each_reaction_once(every_server: Server, channel: str) -> None:
    """Listed in the order of reacting; one that was taken back and given again comes last."""
    channels = room(channel, {"chat": KEPT})
    async with (
        subscribed(every_server, channel, uid="Jim", umd={"age": 1}, channels=channels) as jim,
        subscribed(every_server, channel, uid="Pam", channels=channels) as pam,
    ):
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
        assert await pam.reactions(channel, message) == expected
        for action in ("remove", "add"):
            await jim.react(channel, message, "👍", action)
        await jim.settle()
        assert await pam.reactions(channel, message) == [*expected[1:], expected[0]]
