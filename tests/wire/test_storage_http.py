"""Channel storage over the client HTTP API (protocol.md sections 12 and 14)."""

from typing import Any

import pytest

from tests.support.client import Client
from tests.support.connecting import connect, subscribed
from tests.support.servers import Server, token
from tests.wire.test_storage import ALL, stores, updated

JIM = {"uid": "jim", "umd": None}


async def put(client: Client, channel: str, key: str, data: Any) -> None:
    body = {"channel": channel, "key": key, "data": data}
    answer = await client.call("channelStorageSet", body)
    assert answer.status == 202, answer.text
    assert answer.json == {"channel": channel, "event": "hotsock.channelStorageSet"}


async def listed(client: Client, channel: str, **body: Any) -> list[Any]:
    answer = await client.call("channelStorageList", {"channel": channel, **body})
    assert answer.status == 200, answer.text
    assert answer.json.keys() == {"items"}
    items: list[Any] = answer.json["items"]
    return items


async def test_an_entry_is_set_got_and_cleared(every_server: Server, channel: str) -> None:
    """It is there when the answer is: for the socket, for HTTP, for who observes it."""
    channels = {channel: {"subscribe": True, "alias": "list", "storage": {"*": ALL}}}
    async with subscribed(every_server, channel, uid="jim", channels=channels) as jim:
        for data, meta in (({"b": 1, "a": [None]}, JIM), ([], JIM), (None, None)):
            body = {"channel": "list", "key": "k", "data": data}
            answer = await jim.call("channelStorageSet", body)
            assert answer.status == 202
            assert answer.json == {"channel": channel, "event": "hotsock.channelStorageSet"}
            assert await jim.receive() == updated(channel, "k", data, meta and "jim")
            got = await jim.call("channelStorageGet", {"channel": "list", "key": "k"})
            assert got.status == 200
            assert got.json == {
                "event": "hotsock.channelStorageData",
                "channel": channel,
                "key": "k",
                "data": data,
                "meta": meta,
            }
        await put(jim, channel, "k", 1)
        await jim.receive()
        assert (await jim.call("channelStorageSet", {"channel": channel, "key": "k"})).status == 202
        assert await jim.receive() == updated(channel, "k", None, None)


async def test_the_permissions_are_those_of_the_subscription_where_there_is_one(
    every_server: Server, channel: str
) -> None:
    async with connect(every_server, uid="jim", channels=stores(channel, a=ALL)) as jim:
        body = {"channel": channel, "key": "b"}
        for operation in ("channelStorageGet", "channelStorageSet"):
            refused = await jim.call(operation, body)
            assert refused.refusal == (403, "STORAGE_PERMISSION_DENIED")
        more = stores(channel, b=ALL)
        jwt = token(every_server, scope="subscribe", uid="jim", umd=5, channels=more)
        await jim.subscribe(channel, jwt)
        await put(jim, channel, "b", 1)
        await put(jim, channel, "a", 1)
        items = [{"key": key, "data": 1, "meta": {"uid": "jim", "umd": 5}} for key in "ab"]
        assert await listed(jim, channel) == items


# --- listing ------------------------------------------------------------------------------------


async def test_only_what_get_allows_is_listed_in_key_order(
    every_server: Server, channel: str
) -> None:
    keys = ["a", "B", "é", "10", "9", "\U0001f600", "\uffee"]
    reader = stores(channel, **{"*": {"get": True}, "hidden": {"get": False}})
    async with (
        connect(every_server, uid="jim", channels=stores(channel)) as jim,
        connect(every_server, uid="pam", channels=reader) as pam,
        connect(every_server, uid="eve", channels=stores(channel, a={"set": True})) as eve,
    ):
        for key in [*keys, "hidden", "cleared"]:
            await put(jim, channel, key, key)
        await put(jim, channel, "cleared", {})
        items = [{"key": key, "data": key, "meta": JIM} for key in sorted(keys)]
        assert await listed(pam, channel) == items
        assert await listed(pam, channel, keys=None, after=None) == items
        assert await listed(pam, channel, after="") == items
        assert await listed(pam, channel, after="9") == items[2:]
        assert await listed(pam, channel, after="no-key") == [
            item for item in items if item["key"] > "no-key"
        ]
        few = ["é", "hidden", "9", "9", "cleared", "unknown"]
        assert [item["key"] for item in await listed(pam, channel, keys=few)] == ["9", "é"]
        assert [item["key"] for item in await listed(pam, channel, keys=few, after="9")] == ["é"]
        assert await listed(pam, channel, keys=[]) == []
        assert await listed(eve, channel) == []
        assert await listed(eve, "elsewhere") == []


async def test_pages_of_a_hundred_are_stable_while_others_write(
    any_server: Server, channel: str
) -> None:
    """What was there all the time comes once, whatever comes, changes and goes beside it."""
    async with (
        connect(any_server, uid="jim", channels=stores(channel)) as jim,
        connect(any_server, uid="pam", channels=stores(channel)) as pam,
    ):

        async def write(key: str, data: Any) -> None:
            event = "hotsock.channelStorageSet"
            await pam.send({"event": event, "channel": channel, "key": key, "data": data})

        stays = [f"{number:03}" for number in range(120)]
        for key in stays:
            await write(key, 0)
            await write(f"{key}-goes", 0)
            await pam.settle()
        found: list[str] = []
        after = ""
        for at in range(10):
            page = await listed(jim, channel, after=after)
            found += [item["key"] for item in page]
            if len(page) < 100:
                break
            after = page[-1]["key"]
            for key in stays[at::3]:
                await write(f"{key}-goes", None)
                await write(f"{key}-comes", 1)
                await write(key, at + 1)
            await pam.settle()
        assert found == sorted(set(found))
        assert [key for key in found if key in set(stays)] == stays
        assert at >= 2


# --- hostile ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "body", "refusal"),
    [
        ("channelStorageGet", "[]", (400, "INVALID_MESSAGE")),
        ("channelStorageSet", "nonsense", (400, "INVALID_MESSAGE")),
        ("channelStorageList", {"channel": "c", "keys": ["k"] * 101}, (400, "INVALID_REQUEST")),
    ],
)
async def test_bad_bodies_are_refused(
    server: Server, operation: str, body: Any, refusal: tuple[int, str]
) -> None:
    async with connect(server, uid="jim", channels=stores("*")) as jim:
        assert (await jim.call(operation, body)).refusal == refusal


@pytest.mark.parametrize("operation", ["Get", "Set", "List"])
async def test_without_credentials_there_is_nothing(server: Server, operation: str) -> None:
    async with connect(server, uid="jim", channels=stores("*")) as jim:
        body = {"channel": "c", "key": "k", "data": 1}
        answer = await jim.call(f"channelStorage{operation}", body, secret="wrong")
        assert answer.refusal == (401, "INVALID_CONNECTION")


async def test_a_hundred_keys_may_be_asked_for(server: Server, channel: str) -> None:
    async with connect(server, uid="jim", channels=stores(channel)) as jim:
        await put(jim, channel, "k1", 1)
        items = await listed(jim, channel, keys=[f"k{number}" for number in range(100)])
        assert [item["key"] for item in items] == ["k1"]
