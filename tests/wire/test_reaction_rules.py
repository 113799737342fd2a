"""Who may react to what, and who may list it (protocol.md section 9)."""

from typing import Any

import pytest

from tests.support.client import Client
from tests.support.connecting import connect, subscribed
from tests.support.grants import STORED, room
from tests.support.servers import Server

EVENT = "hotsock.messageReaction"


KEPT = {"publish": True, "store": -1, "react": True}


async def test_it_needs_an_active_subscription(any_server: Server, channel: str) -> None:
    async with (
        connect(any_server, uid="jim", channels=room(channel)) as jim,
        subscribed(any_server, channel, uid="pam") as pam,
    ):
        message = await pam.store(channel)
        await jim.react(channel, message)
        await jim.error("NOT_SUBSCRIBED", EVENT, channel)
        data = {"messageId": message, "reaction": "👍", "action": "add"}
        body = {"channel": channel, "event": EVENT, "data": data}
        assert (await jim.call("publishMessage", body)).refusal == (403, "NOT_SUBSCRIBED")
        refused = await jim.call("listReactions", {"channel": channel, "messageId": message})
        assert refused.refusal == (403, "NOT_SUBSCRIBED")
        assert await pam.reactions(channel, message) == []


@pytest.mark.parametrize("uid", [None, ""])
async def test_it_needs_a_uid(any_server: Server, channel: str, uid: str | None) -> None:
    async with subscribed(any_server, channel, uid=uid) as client:
        message = await client.store(channel)
        await client.receive("chat")
        await client.react(channel, message)
        await client.error("REACT_PERMISSION_DENIED", EVENT, channel)
        assert await client.reactions(channel, message) == []


async def test_it_needs_a_stored_message_of_that_channel(any_server: Server, channel: str) -> None:
    other = f"{channel}-other"
    messages = {"chat": KEPT, "typing": {"publish": True, "echo": True, "react": True}}
    channels = room(channel, messages) | room(other, messages)
    async with subscribed(any_server, channel, uid="jim", channels=channels) as client:
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
        assert await client.reactions(other, elsewhere) == []


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
    async with subscribed(any_server, channel, messages, uid="jim") as client:
        message = await client.store(channel)
        await client.react(channel, message, reaction)
        if allowed:
            await client.receive(f"{EVENT}Added")
        else:
            await client.error("REACT_PERMISSION_DENIED", EVENT, channel)
        assert len(await client.reactions(channel, message)) == allowed


async def test_no_leave_to_publish_is_needed(any_server: Server, channel: str) -> None:
    """Neither of the message's event nor of hotsock.messageReaction."""
    messages = {"chat": {"publish": False, "react": ["👍"]}}
    async with (
        subscribed(any_server, channel, uid="jim") as jim,
        subscribed(any_server, channel, messages, uid="pam") as pam,
    ):
        message = await jim.store(channel)
        await jim.receive("chat")
        await pam.react(channel, message)
        await jim.receive(f"{EVENT}Added")


async def test_one_uid_has_at_most_100_different_ones_on_a_message(
    every_server: Server, channel: str
) -> None:
    """Those taken back count, since their marks stay; each may come and go as before."""
    async with (
        subscribed(every_server, channel, uid="jim") as jim,
        subscribed(every_server, channel, uid="pam") as pam,
    ):
        message = await jim.store(channel)
        await jim.receive("chat")
        for number in range(100):
            await jim.react(channel, message, f"r{number}")
        await jim.react(channel, message, "r0", "remove")
        await jim.react(channel, message, "more")
        await jim.error("RATE_LIMITED", EVENT, channel)
        data = {"messageId": message, "reaction": "more", "action": "add"}
        body = {"channel": channel, "event": EVENT, "data": data}
        assert (await jim.call("publishMessage", body)).refusal == (429, "RATE_LIMITED")
        await jim.react(channel, message, "more", "remove")
        await jim.react(channel, message, "r0")
        await pam.react(channel, message, "more")
        await pam.settle()
        await jim.settle()
        theirs = [reaction["reaction"] for reaction in await pam.reactions(channel, message)]
        assert sorted(theirs) == sorted([*(f"r{number}" for number in range(100)), "more"])


async def test_one_reacts_to_and_lists_what_one_may_read_alone(
    every_server: Server, channel: str
) -> None:
    """Of a message from before the window nobody learns that there is one."""
    async with (
        subscribed(every_server, channel, uid="jim", channels=room(channel, historyStart=0)) as jim,
        connect(every_server, uid="pam", channels=room(channel)) as pam,
    ):
        before = await jim.store(channel)
        await jim.react(channel, before)  # which the process remembers
        await jim.settle()
        await pam.subscribe(channel)
        after = await jim.store(channel)
        assert (await pam.receive("chat"))["id"] == after
        refusals = [await refused_reaction(pam, channel, id) for id in (before, "0" * 26, "Z" * 26)]
        assert refusals == refusals[:1] * 3
        assert refusals[0][:2] == (404, "MESSAGE_NOT_FOUND")
        listing = {"channel": channel, "messageId": before}
        assert (await pam.call("listReactions", listing)).refusal == (404, "MESSAGE_NOT_FOUND")
        await pam.react(channel, after)
        await pam.settle()
        assert await pam.reactions(channel, after) == [{"reaction": "👍", "uid": "pam"}]
        assert await jim.reactions(channel, before) == [{"reaction": "👍", "uid": "jim"}]


async def refused_reaction(client: Client, channel: str, message: str) -> tuple[int, str, str]:
    """How both ways refuse it: status, code and words."""
    data = {"messageId": message, "reaction": "👍", "action": "add"}
    body = {"channel": channel, "event": EVENT, "data": data}
    await client.send(body)
    error = (await client.receive("hotsock.error"))["error"]
    called = await client.call("publishMessage", body)
    assert called.json["error"] == {name: error[name] for name in ("code", "message")}
    return called.status, error["code"], error["message"]


async def test_what_has_come_live_may_be_reacted_to(any_server: Server, channel: str) -> None:
    """Also where history begins later."""
    later = room(channel, {"chat": STORED, EVENT: {"echo": True}}, historyStart=4_000_000_000)
    async with subscribed(any_server, channel, uid="jim", channels=later) as client:
        message = await client.store(channel)
        await client.receive("chat")
        await client.react(channel, message)
        await client.receive(f"{EVENT}Added")
