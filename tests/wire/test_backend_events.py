"""What the application's backend is told (protocol.md section 16): its shape, when, and that
nothing is told where the contract does not say so."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.backend import backend
from tests.support.client import eventually
from tests.support.connecting import connect, subscribed
from tests.support.grants import STORED, room
from tests.support.servers import Server, start_server
from tests.support.stored import rows
from tests.support.ulids import ULID
from tests.support.webhook_receiver import Receiver

REPORTED = {**STORED, "emitPubSubEvent": True}
FLEETING = {"publish": True, "echo": True, "emitPubSubEvent": True}
CHAT = {"chat": REPORTED, "typing": FLEETING, "quiet": STORED}
EVENTS = "SELECT count(*) FROM chat_backendevent"  # still to be delivered


@dataclass
class Reporting:
    server: Server
    receiver: Receiver


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def reporting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reporting]:
    """On each server and on each database."""
    kind, env = request.param, {}
    if kind == "daphne":
        env["DATABASE_URL"] = request.getfixturevalue("postgres").database()
    with Receiver().listening() as receiver:
        directory = tmp_path_factory.mktemp("reporting")
        with start_server(kind, directory, **env, **receiver.environment) as server:
            yield Reporting(server, receiver)
        assert not receiver.problems


def metadata(channel: str, **more: Any) -> dict[str, Any]:
    return {"hotsockVersion": "1.13.0", "channel": channel, **more}


async def test_a_stored_message(reporting: Reporting, channel: str) -> None:
    claims = {"uid": "jim", "umd": {"n": 1}, "channels": room(channel, CHAT)}
    async with connect(reporting.server, **claims) as jim:
        await jim.subscribe(channel)
        await jim.send(
            f'{{"event":"chat","channel":"{channel}","data":{{"b":18446744073709551616,"a":"é"}}}}'
        )
        message = await jim.receive("chat")
        delivery = await reporting.receiver.one("messagePublished", channel)
    asked = delivery.body["metadata"]
    assert ULID.fullmatch(asked.pop("requestId"))
    assert "Python" in asked.pop("userAgent")
    assert delivery.body == {
        "source": "hotsock.v1",
        "type": "hotsock.messagePublished",
        "metadata": metadata(
            channel,
            event="chat",
            connectionId=jim.id,
            sourceIp="127.0.0.1",
            trigger="client.websocket",
        ),
        "data": {
            "channel": channel,
            "event": "chat",
            "id": message["id"],
            "data": {"b": 18446744073709551616, "a": "é"},
            "meta": {"uid": "jim", "umd": {"n": 1}},
        },
        "dataType": "message",
    }
    assert '"data":{"b":18446744073709551616,"a":"é"}' in delivery.text
    assert delivery.headers["content-type"] == "application/json"


async def test_a_message_that_is_not_stored(reporting: Reporting, channel: str) -> None:
    async with subscribed(reporting.server, channel, CHAT) as jim:
        await jim.publish(channel, "hi", "typing")
        message = await jim.receive("typing")
        delivery = await reporting.receiver.one("messagePublished", channel)
    assert delivery.body["data"] == {  # without meta: there is neither uid nor umd
        "channel": channel,
        "event": "typing",
        "id": message["id"],
        "data": "hi",
    }


async def test_a_message_published_over_http(reporting: Reporting, channel: str) -> None:
    async with subscribed(reporting.server, channel, CHAT, uid="jim") as jim:
        id = await jim.store(channel, 1)
        delivery = await reporting.receiver.one("messagePublished", channel)
    asked = delivery.body["metadata"]
    assert (asked["trigger"], asked["connectionId"]) == ("client.http", jim.id)
    assert (asked["sourceIp"], asked["userAgent"][:6]) == ("127.0.0.1", "python")
    assert delivery.body["data"]["id"] == id
    assert delivery.body["data"]["meta"] == {"uid": "jim", "umd": None}
    assert all(isinstance(value, str) for value in asked.values())


async def test_each_request_has_an_id_of_its_own(reporting: Reporting, channel: str) -> None:
    async with subscribed(reporting.server, channel, CHAT, uid="jim") as jim:
        await jim.fill(channel, 3)
        published = await reporting.receiver.several(3, "messagePublished", channel)
    assert len({delivery.body["metadata"]["requestId"] for delivery in published}) == 3
    assert len({delivery.id for delivery in published}) == 3


async def test_only_what_the_token_lets_emit(reporting: Reporting, channel: str) -> None:
    async with subscribed(reporting.server, channel, CHAT, uid="jim") as jim:
        await jim.store(channel, 1, "quiet")
        id = await jim.store(channel, 2)
        delivery = await reporting.receiver.one("messagePublished", channel)
    assert delivery.body["data"]["id"] == id


async def test_reactions(reporting: Reporting, channel: str) -> None:
    claims = {"uid": "jim", "umd": "hi", "channels": room(channel, CHAT)}
    async with connect(reporting.server, **claims) as jim:
        await jim.subscribe(channel)
        quiet = await jim.store(channel, 1, "quiet")
        message = await jim.store(channel, 2)
        await jim.react(channel, quiet)
        await jim.react(channel, message)
        await jim.react(channel, message)  # changes nothing
        await jim.react(channel, message, action="remove")
        added, removed = await reporting.receiver.wait(
            2, lambda found: found.channel == channel and found.type.startswith("messageReaction")
        )
    asked, data = added.body["metadata"], added.body["data"]
    assert ULID.fullmatch(asked.pop("requestId"))
    assert ULID.fullmatch(data.pop("id"))
    assert asked.pop("userAgent")
    assert data.pop("createdAt").endswith("Z")
    assert added.body == {
        "source": "hotsock.v1",
        "type": "hotsock.messageReactionAdded",
        "metadata": metadata(
            channel,
            reaction="👍",
            connectionId=jim.id,
            sourceIp="127.0.0.1",
            trigger="client.websocket",
        ),
        "data": {
            "channel": channel,
            "messageId": message,
            "reaction": "👍",
            "uid": "jim",
            "umd": "hi",
            "expiresAt": None,
        },
        "dataType": "messageReaction",
    }
    assert removed.type == "messageReactionRemoved"
    assert removed.body["data"]["messageId"] == message


async def test_a_reaction_expires_with_its_message(reporting: Reporting, channel: str) -> None:
    hour = {"chat": {**REPORTED, "store": 3600}}
    async with subscribed(reporting.server, channel, hour, uid="jim") as jim:
        await jim.react(channel, await jim.store(channel, 1))
        delivery = await reporting.receiver.one("messageReactionAdded", channel)
        [[expiry]] = rows(
            reporting.server,
            "SELECT expires_at FROM chat_message JOIN chat_channel c ON c.id = channel_id"
            " WHERE c.name = ?",
            channel,
        )
    assert delivery.body["data"]["expiresAt"][:19] == str(expiry).replace(" ", "T")[:19]


async def test_a_deletion(reporting: Reporting, channel: str) -> None:
    """Of any stored message, also of one that was not reported."""
    async with (
        subscribed(reporting.server, channel, CHAT, uid="jim") as jim,
        backend(reporting.server) as api,
    ):
        id = await jim.store(channel, 1, "quiet")
        await api.deleted(channel, id)
        assert (await api.delete(channel, id)).status == 404
        delivery = await reporting.receiver.one("messageDeleted", channel)
    asked = delivery.body["metadata"]
    assert ULID.fullmatch(asked.pop("requestId"))
    assert asked.pop("userAgent")
    assert delivery.body == {
        "source": "hotsock.v1",
        "type": "hotsock.messageDeleted",
        "metadata": metadata(
            channel, event="quiet", connectionId="", sourceIp="127.0.0.1", trigger="server.http"
        ),
        "data": {"channel": channel, "messageId": id, "event": "quiet"},
        "dataType": "messageDeletion",
    }


async def test_what_is_delivered_leaves_no_row(reporting: Reporting, channel: str) -> None:
    async with subscribed(reporting.server, channel, CHAT, uid="jim") as jim:
        await jim.fill(channel, 3)
        await reporting.receiver.several(3, "messagePublished", channel)
    await eventually(lambda: waiting(reporting.server, channel, 0))


async def waiting(server: Server, channel: str, count: int) -> bool:
    """Whether so many events of a channel are still to be delivered."""
    found = rows(server, "SELECT count(*) FROM chat_backendevent WHERE stream = ?", channel)
    return found == [(count,)]


async def test_without_a_url_nothing_is_written(every_server: Server, channel: str) -> None:
    before = rows(every_server, EVENTS)  # other tests put some there themselves
    async with subscribed(every_server, channel, CHAT, uid="jim") as jim:
        await jim.react(channel, await jim.store(channel, 1))
        await jim.publish(channel, 1, "typing")
        await jim.settle()
    assert rows(every_server, EVENTS) == before
