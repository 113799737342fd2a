"""What a channel keeps under its keys, over the socket (protocol.md section 12)."""

import asyncio
import socket
from typing import Any
from unittest.mock import ANY

import pytest

from tests.support.client import Client, Frame
from tests.support.connecting import connect, open_client, subscribed
from tests.support.servers import Server, token
from tests.support.stored import expire_entries, rows

ALL = {"get": True, "set": True, "observe": True}


def stores(channel: str, *, subscribe: bool = True, **keys: Any) -> dict[str, Any]:
    """A channel whose storage keys carry these directives; without any, all keys carry all."""
    return {channel: {"subscribe": subscribe, "storage": keys or {"*": ALL}}}


def setting(channel: str, key: str, data: Any = None) -> dict[str, Any]:
    return {"event": "hotsock.channelStorageSet", "channel": channel, "key": key, "data": data}


def updated(channel: str, key: str, data: Any, uid: str | None = "jim", umd: Any = None) -> Any:
    """A `channelStorageUpdated`; uid None: without meta."""
    return {
        "event": "hotsock.channelStorageUpdated",
        "channel": channel,
        "key": key,
        "data": data,
        "meta": None if uid is None else {"uid": uid, "umd": umd},
        "position": ANY,
    }


async def get(client: Client, channel: str, key: str = "k") -> Frame:
    await client.send({"event": "hotsock.channelStorageGet", "channel": channel, "key": key})
    return await client.receive("hotsock.channelStorageData")


# --- get and set --------------------------------------------------------------------------------


async def test_an_entry_is_set_got_and_cleared_without_a_subscription(
    every_server: Server, channel: str
) -> None:
    channels = stores(channel)
    async with (
        connect(every_server, uid="jim", umd={"a": 1}, channels=channels) as jim,
        connect(every_server, uid="pam", channels=channels) as pam,
    ):
        unset = {
            "event": "hotsock.channelStorageData",
            "channel": channel,
            "key": "k",
            "data": None,
            "meta": None,
        }
        assert await get(jim, channel) == unset
        await jim.send(setting(channel, "k", {"list": [1, "é"]}))
        for client in (jim, pam):
            assert await get(client, channel) == {
                **unset,
                "data": {"list": [1, "é"]},
                "meta": {"uid": "jim", "umd": {"a": 1}},
            }
            await client.settle()
        await pam.send(setting(channel, "k", 2))
        await pam.settle()
        assert (await get(jim, channel))["meta"] == {"uid": "pam", "umd": None}
        assert await get(jim, channel, "another") == {**unset, "key": "another"}


@pytest.mark.parametrize("clearing", ['"data":null', '"data":{}', '"data":{ }', '"x":1'])
async def test_null_an_empty_object_and_nothing_clear(
    every_server: Server, channel: str, clearing: str
) -> None:
    async with subscribed(every_server, channel, uid="jim", channels=stores(channel)) as jim:
        await jim.send(setting(channel, "k", 1))
        assert await jim.receive() == updated(channel, "k", 1)
        await jim.send(
            f'{{"event":"hotsock.channelStorageSet","channel":"{channel}","key":"k",{clearing}}}'
        )
        assert await jim.receive() == updated(channel, "k", None, None)
        frame = await get(jim, channel)
        assert (frame["data"], frame["meta"]) == (None, None)


@pytest.mark.parametrize("data", ["[]", '""', "0", "false", "[{}]", '{"":null}'])
async def test_nothing_else_clears(server: Server, channel: str, data: str) -> None:
    async with connect(server, uid="jim", channels=stores(channel)) as jim:
        frame = f'{{"event":"hotsock.channelStorageSet","channel":"{channel}","key":"k"'
        await jim.send(f'{frame},"data":{data}}}')
        assert f'"data":{data},' in (await get(jim, channel)).text


async def test_a_value_comes_back_as_it_was_sent(every_server: Server, channel: str) -> None:
    data = '{"z":18446744073709551616,"a":1.0,"a":"\\u00e9"}'
    async with subscribed(every_server, channel, uid="jim", channels=stores(channel)) as jim:
        frame = f'{{"event":"hotsock.channelStorageSet","channel":"{channel}","key":"k"'
        await jim.send(f'{frame},"data":{data}}}')
        for answer in (await jim.receive(), await get(jim, channel)):
            assert f'"data":{data},' in answer.text


# --- who may ------------------------------------------------------------------------------------


async def test_getting_and_setting_need_their_permissions(
    every_server: Server, channel: str
) -> None:
    """Each its own, for the key; an explicit false wins."""
    keys = {
        "*": {"get": True, "set": True},
        "read-*": {"set": False},
        "#regex:^write-": {"get": False},
        "none": {"get": False, "set": False},
    }
    async with connect(every_server, uid="jim", channels=stores(channel, **keys)) as jim:
        denied = "STORAGE_PERMISSION_DENIED"
        for key in ("read-1", "none"):
            await jim.send(setting(channel, key, 1))
            await jim.error(denied, "hotsock.channelStorageSet", channel)
        for key in ("write-1", "none"):
            await jim.send({"event": "hotsock.channelStorageGet", "channel": channel, "key": key})
            await jim.error(denied, "hotsock.channelStorageGet", channel)
        await jim.send(setting(channel, "write-1", 1))
        assert (await get(jim, channel, "read-1"))["data"] is None
        await jim.send(setting("elsewhere", "k", 1))
        await jim.error(denied, "hotsock.channelStorageSet", "elsewhere")


async def test_a_subscription_s_grants_and_its_uid_count_while_it_lasts(
    every_server: Server, channel: str
) -> None:
    """Both tokens together; meta is the subscription's."""
    allowed = {channel: {"subscribe": True, "storage": {"a": ALL, "b": ALL}}}
    async with connect(every_server, uid="jim", channels=allowed) as jim:
        more = {
            channel: {"subscribe": True, "storage": {"b": {"set": False}, "c": ALL}},
        }
        jwt = token(
            every_server, scope="subscribe", connectionId=jim.id, uid="james", channels=more
        )
        await jim.send(setting(channel, "c", 1))
        await jim.error("STORAGE_PERMISSION_DENIED", "hotsock.channelStorageSet", channel)
        await jim.subscribe(channel, jwt)
        for key in ("a", "c"):
            await jim.send(setting(channel, key, 1))
            assert await jim.receive() == updated(channel, key, 1, "james")
        await jim.send(setting(channel, "b", 1))
        await jim.error("STORAGE_PERMISSION_DENIED", "hotsock.channelStorageSet", channel)
        await jim.unsubscribe(channel)
        await jim.send(setting(channel, "c", 1))
        await jim.error("STORAGE_PERMISSION_DENIED", "hotsock.channelStorageSet", channel)


async def test_an_alias_means_its_channel(every_server: Server, channel: str) -> None:
    channels = {channel: {"subscribe": True, "alias": "list", "storage": {"*": ALL}}}
    async with connect(every_server, uid="jim", channels=channels) as jim:
        await jim.send(setting("list", "k", 1))
        assert (await get(jim, "list"))["channel"] == channel
        await jim.subscribe("list")
        assert await jim.receive() == updated(channel, "k", 1)


# --- who is told --------------------------------------------------------------------------------


async def test_a_change_is_told_to_all_who_observe_the_key(
    every_server: Server, channel: str
) -> None:
    """The writer too, where it observes; the same bytes for each; whoever does not subscribe or
    observe, nothing."""
    async with (
        subscribed(every_server, channel, uid="jim", umd=7, channels=stores(channel)) as jim,
        subscribed(
            every_server, channel, uid="pam", channels=stores(channel, k={"observe": True})
        ) as pam,
        subscribed(every_server, channel, uid="bob", channels=stores(channel, other=ALL)) as bob,
        connect(every_server, uid="eve", channels=stores(channel)) as eve,
    ):
        await jim.send(setting(channel, "k", "v"), setting(channel, "k", None))
        for event in (updated(channel, "k", "v", "jim", 7), updated(channel, "k", None, None)):
            frames = [await client.receive() for client in (jim, pam)]
            assert frames[0] == event
            assert frames[0].text == frames[1].text
        await eve.send(setting(channel, "k", 1))
        for client in (jim, pam):
            assert await client.receive() == updated(channel, "k", 1, "eve")
        for client in (jim, pam, bob, eve):
            await client.nothing(jim, eve)


async def test_a_writer_that_does_not_observe_is_not_told(
    every_server: Server, channel: str
) -> None:
    blind = stores(channel, k={"get": True, "set": True, "observe": False})
    async with subscribed(every_server, channel, uid="jim", channels=blind) as jim:
        await jim.send(setting(channel, "k", 1))
        await jim.nothing()
        assert (await get(jim, channel))["data"] == 1


async def test_a_write_that_does_not_change_the_value_sends_nothing_but_renews_meta(
    every_server: Server, channel: str
) -> None:
    async with (
        subscribed(every_server, channel, uid="jim", channels=stores(channel)) as jim,
        connect(every_server, uid="pam", channels=stores(channel)) as pam,
    ):
        await jim.send(setting(channel, "k", {"a": 1, "b": [True]}))
        await jim.receive("hotsock.channelStorageUpdated")
        frame = f'{{"event":"hotsock.channelStorageSet","channel":"{channel}","key":"k"'
        await pam.send(f'{frame},"data":{{ "b":[true], "a":1.0 }}}}')
        await jim.nothing(pam)
        assert (await get(jim, channel))["meta"] == {"uid": "pam", "umd": None}
        await pam.send(setting(channel, "never", None))
        await jim.nothing(pam)
        await pam.send(setting(channel, "k", {"a": 1, "b": [1]}))
        assert (await jim.receive())["data"] == {"a": 1, "b": [1]}


async def test_all_observers_see_all_writers_changes_in_one_order(
    every_server: Server, channel: str
) -> None:
    channels = stores(channel)
    async with (
        subscribed(every_server, channel, uid="jim", channels=channels) as jim,
        subscribed(every_server, channel, uid="pam", channels=channels) as pam,
    ):
        for number in range(30):
            await jim.send(setting(channel, "k", f"jim {number}"))
            await pam.send(setting(channel, "k", f"pam {number}"))
        seen = [
            [(await client.receive("hotsock.channelStorageUpdated"))["data"] for _ in range(60)]
            for client in (jim, pam)
        ]
        assert seen[0] == seen[1]
        assert [data for data in seen[0] if data.startswith("jim")] == [
            f"jim {number}" for number in range(30)
        ]
        assert (await get(jim, channel))["data"] == seen[0][-1]


# --- on subscribing -----------------------------------------------------------------------------


async def test_the_observed_entries_follow_subscribed_in_key_order(
    every_server: Server, channel: str
) -> None:
    """By code point: upper before lower case, and beyond the basic plane last."""
    keys = ["a", "B", "é", "10", "9", "\U0001f600", "\uffee"]
    observed = stores(channel, **{"*": ALL, "hidden": {"observe": False}})
    async with (
        connect(every_server, uid="jim", channels=stores(channel)) as jim,
        connect(every_server, uid="pam", channels=observed) as pam,
    ):
        for key in [*keys, "hidden", "cleared"]:
            await jim.send(setting(channel, key, f"of {key}"))
        await jim.send(setting(channel, "cleared", None))
        await jim.settle()
        await pam.subscribe(channel)
        for key in sorted(keys):
            assert await pam.receive() == updated(channel, key, f"of {key}")
        await pam.nothing()
        await pam.unsubscribe(channel)
        await pam.subscribe(channel)
        assert len(await pam.drain()) == len(keys)


async def test_they_follow_an_auto_subscription_too(every_server: Server, channel: str) -> None:
    channels = {channel: {"autoSubscribe": True, "storage": {"*": ALL}}}
    async with connect(every_server, uid="jim", channels=stores(channel)) as jim:
        await jim.send(setting(channel, "k", 1))
        await jim.settle()
        async with connect(every_server, uid="pam", channels=channels) as pam:
            await pam.receive("hotsock.subscribed")
            assert await pam.receive() == updated(channel, "k", 1)


async def test_more_than_a_page_and_more_than_may_be_unsent_follow(
    any_server: Server, channel: str
) -> None:
    """250 entries of 32 KiB, 8 MiB, to one that begins to read a little later."""
    keys = [f"{number:03}" for number in range(250)]
    channels = stores(channel)
    jwt = token(any_server, channels=channels)
    async with connect(any_server, uid="jim", channels=channels) as jim:
        for key in keys:
            await jim.send(setting(channel, key, "x" * 32_000))
        await jim.settle()
        pam = await open_client(any_server, jwt, sock=await narrow(any_server), max_queue=1)
        try:
            await pam.send({"event": "hotsock.subscribe", "channel": channel})
            for _ in range(100):
                await jim.settle()
            await pam.receive("hotsock.subscribed")
            shown = [(await pam.receive("hotsock.channelStorageUpdated"))["key"] for _ in keys]
            assert shown == keys
            await pam.nothing()
        finally:
            await pam.aclose()


async def narrow(server: Server) -> socket.socket:
    """A socket that is connected, and takes little at once."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", server.port))
    return made


async def test_while_others_write_no_value_is_missed_and_none_comes_twice(
    every_server: Server, channel: str
) -> None:
    """Each entry is shown as it was, then its changes come, each greater than the one before."""
    channels = stores(channel)
    async with (
        connect(every_server, uid="jim", channels=channels) as jim,
        connect(every_server, uid="pam", channels=channels) as pam,
    ):
        latest: dict[str, int] = {}
        sent = 0
        for _ in range(6):
            for _ in range(20):
                sent += 1
                await jim.send(setting(channel, f"k{sent % 5}", sent))
            await pam.send({"event": "hotsock.subscribe", "channel": channel})
            await jim.settle()
            shown: dict[str, int] = {}
            for frame in await pam.drain():
                if frame["event"] == "hotsock.channelStorageUpdated":
                    assert frame["data"] > shown.get(frame["key"], 0), frame.text
                    shown[frame["key"]] = frame["data"]
            latest = {f"k{number % 5}": number for number in range(sent - 4, sent + 1)}
            assert shown == latest
            await pam.unsubscribe(channel)


# --- expiry -------------------------------------------------------------------------------------


async def test_entries_expire_after_the_writer_s_store(every_server: Server, channel: str) -> None:
    """For ever without it. Nobody is told, and setting the same again is a change."""
    keys = {"*": ALL, "brief": {"store": 60}}
    async with (
        connect(every_server, uid="jim", channels=stores(channel, **keys)) as jim,
        connect(every_server, uid="pam", channels=stores(channel)) as pam,
    ):
        await jim.send(setting(channel, "brief", 1), setting(channel, "long", 1))
        await jim.settle()
        await pam.subscribe(channel)
        assert [frame["key"] for frame in await pam.drain()] == ["brief", "long"]
        sql = "SELECT key, expires_at IS NULL FROM chat_storageentry WHERE channel_id ="
        of_channel = "(SELECT id FROM chat_channel WHERE name = ?)"
        found = rows(every_server, f"{sql} {of_channel} ORDER BY key", channel)
        assert [(key, bool(for_ever)) for key, for_ever in found] == [
            ("brief", False),
            ("long", True),
        ]
        expire_entries(every_server, channel, "brief")
        assert (await get(pam, channel, "brief"))["data"] is None
        await pam.nothing(jim)
        await jim.send(setting(channel, "brief", None))
        await pam.nothing(jim)
        await jim.send(setting(channel, "brief", 1))
        assert await pam.receive() == updated(channel, "brief", 1)


async def test_where_no_backend_listens_nothing_waits_to_be_reported(
    every_server: Server, channel: str
) -> None:
    """Else it would never be purged: only what was reported is."""
    key = {**ALL, "store": 60, "emitPubSubEvent": True}
    async with connect(every_server, uid="jim", channels=stores(channel, k=key)) as jim:
        await jim.send(setting(channel, "k", 1))
        await jim.settle()
    sql = "SELECT reports_expiry FROM chat_storageentry WHERE channel_id ="
    of_channel = "(SELECT id FROM chat_channel WHERE name = ?)"
    [[reports_expiry]] = rows(every_server, f"{sql} {of_channel}", channel)
    assert not reports_expiry


# --- hostile ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ('"' + "x" * 32 * 1024 + '"', "DATA_TOO_LARGE"),
        ('"\\ud800"', "INVALID_MESSAGE"),
        ("NaN", "INVALID_MESSAGE"),
    ],
)
async def test_bad_values_are_refused_and_change_nothing(
    server: Server, channel: str, data: str, code: str
) -> None:
    async with connect(server, uid="jim", channels=stores(channel)) as jim:
        await jim.send(setting(channel, "k", 1))
        frame = f'{{"event":"hotsock.channelStorageSet","channel":"{channel}","key":"k"'
        await jim.send(f'{frame},"data":{data}}}')
        assert (await jim.receive("hotsock.error"))["error"]["code"] == code
        assert (await get(jim, channel))["data"] == 1


@pytest.mark.parametrize("key", ["k" * 128, "é" * 128, "\U0001f600" * 128, "'; DROP TABLE x--%s"])
async def test_any_other_key_is_a_key(every_server: Server, channel: str, key: str) -> None:
    key = key.replace(" ", "_")
    async with subscribed(every_server, channel, uid="jim", channels=stores(channel)) as jim:
        await jim.send(setting(channel, key, 1))
        assert await jim.receive() == updated(channel, key, 1)
        assert (await get(jim, channel, key))["key"] == key


async def test_numbers_that_no_machine_holds_are_compared(
    every_server: Server, channel: str
) -> None:
    async with subscribed(every_server, channel, uid="jim", channels=stores(channel)) as jim:
        frame = f'{{"event":"hotsock.channelStorageSet","channel":"{channel}","key":"k"'
        for data in (f"1e{'9' * 20_000}", "9" * 4_000, "1E400", "10e399"):
            await jim.send(f'{frame},"data":{data}}}')
        await jim.settle()
        assert len(await jim.drain()) == 3
