"""The server HTTP API: what it tells of channels (protocol.md section 15)."""

import asyncio
from urllib.parse import quote

import pytest

from tests.support.backend import Backend, backend
from tests.support.connecting import connect, subscribed
from tests.support.servers import Server
from tests.support.stored import rows

SET = "hotsock.channelStorageSet"


# --- GET /channels/{name} -----------------------------------------------------------------------


async def test_an_unknown_channel_has_nobody(every_server: Server, channel: str) -> None:
    presence = f"presence.{channel}"
    async with backend(every_server) as api:
        answered = await api.channel(channel)
        assert (answered.status, answered.json) == (200, {"name": channel, "subscriptionsCount": 0})
        assert answered.headers["content-type"].startswith("application/json")
        empty = {"name": presence, "subscriptionsCount": 0, "members": []}
        assert (await api.channel(presence)).json == empty
    assert rows(every_server, "SELECT 1 FROM chat_channel WHERE name = ?", channel) == []


async def test_who_is_there(every_server: Server, channel: str) -> None:
    """No claim is checked: no token says getInfo."""
    presence = f"presence.{channel}"
    async with (
        subscribed(every_server, presence, uid="jim", umd={"a": 1}) as jim,
        subscribed(every_server, presence, uid="pam"),
        subscribed(every_server, channel, uid="pam"),
        backend(every_server) as api,
    ):
        assert (await api.channel(channel)).json == {"name": channel, "subscriptionsCount": 1}
        assert (await api.channel(presence)).json == {
            "name": presence,
            "subscriptionsCount": 2,
            "members": [{"uid": "jim", "umd": {"a": 1}}, {"uid": "pam", "umd": None}],
        }
        await jim.receive("hotsock.memberAdded")
        await jim.unsubscribe(presence)
        assert (await api.channel(presence)).json["members"] == [{"uid": "pam", "umd": None}]


NAMES = [
    *("a/b", "a//b", "/a", "a/", "/", ".", "..", "../publish", "a/storage", "storage"),
    *("%", "%2F", "%41", "a?b", "a=b&c", "é", "e\u0301", "😀", "a:b;c", "a+b", "\\", '"', "<>"),
    "n" * 256,
]


async def test_a_name_may_hold_nearly_anything(every_server: Server) -> None:
    """Percent-encoded it is never taken for anything else."""
    async with backend(every_server) as api:
        for name in NAMES:
            answered = await api.channel(name)
            assert answered.json == {"name": name, "subscriptionsCount": 0}
            await api.published(name, SET, key="k", data=name)
            listed = await api.channel(name, "/storage")
            assert [item["data"] for item in listed.json["items"]] == [name]


async def test_a_slash_need_not_be_encoded(every_server: Server) -> None:
    async with backend(every_server) as api:
        assert (await api.call("GET", "/channels/a/b")).json["name"] == "a/b"
        assert "items" in (await api.call("GET", "/channels/a/b/storage")).json


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_name_is_an_invalid_one(any_server: Server, method: str) -> None:
    async with backend(any_server) as api:
        status = 400 if method == "GET" else 405
        assert (await api.call(method, "/channels", {})).status == status
        assert (await api.call(method, "/channels/", {})).status == status


@pytest.mark.parametrize("encoded", ["", "a%20b", "a*", "%23", "a,b", "a%00", "%ff", "n" * 257])
@pytest.mark.parametrize("rest", ["", "/storage"])
async def test_an_invalid_name_is_refused(every_server: Server, encoded: str, rest: str) -> None:
    async with backend(every_server) as api:
        refused = await api.call("GET", f"/channels/{encoded}{rest}")
        assert refused.refusal == (400, "INVALID_CHANNEL_NAME")


@pytest.mark.parametrize("rest", ["", "/storage"])
async def test_head_answers_as_get_without_the_body(every_server: Server, rest: str) -> None:
    async with backend(every_server) as api:
        answered = await api.call("HEAD", f"/channels/c{rest}")
        assert (answered.status, answered.text) == (200, "")
        assert (await api.call("HEAD", "/channels/*", headers={})).status == 401


# --- GET /channels/{name}/storage ---------------------------------------------------------------


async def keys(api: Backend, channel: str, query: str = "") -> list[str]:
    answered = await api.channel(channel, f"/storage{query}")
    assert answered.status == 200, answered.text
    assert answered.json.keys() == {"items"}
    return [item["key"] for item in answered.json["items"]]


async def test_entries_are_listed_in_key_order_page_by_page(
    every_server: Server, channel: str
) -> None:
    names = [f"k{number:03}" for number in range(101)] + ["Z", "é", "😀"]
    async with backend(every_server) as api:
        for name in reversed(names):
            await api.published(channel, SET, key=name, data=name)
        first = await keys(api, channel)
        second = await keys(api, channel, f"?after={first[-1]}")
        assert first + second == sorted(names)
        assert len(first) == 100
        assert await keys(api, channel, f"?after={quote('😀')}") == []


async def test_entries_can_be_asked_for_by_key(every_server: Server, channel: str) -> None:
    async with backend(every_server) as api:
        for name in ("a", "b/c", "é"):
            await api.published(channel, SET, key=name, data=1)
        assert await keys(api, channel, "?keys=b/c,x,a") == ["a", "b/c"]
        assert await keys(api, channel, f"?keys={quote('é')}&after=a") == ["é"]
        assert await keys(api, channel, "?keys=a,b/c&after=a") == ["b/c"]
        assert await keys(api, channel, "?keys=x") == []
        assert await keys(api, channel, "?keys=&after=") == ["a", "b/c", "é"]
        hundred = ",".join(["a", *(f"x{number}" for number in range(99))])
        assert await keys(api, channel, f"?keys={hundred}") == ["a"]


async def test_an_entry_has_who_wrote_it(every_server: Server, channel: str) -> None:
    channels = {channel: {"storage": {"k": {"set": True}}}}
    async with (
        connect(every_server, uid="jim", umd=[1], channels=channels) as jim,
        backend(every_server) as api,
    ):
        await jim.send({"event": SET, "channel": channel, "key": "k", "data": {"a": 1}})
        await jim.settle()
        listed = await api.channel(channel, "/storage")
        meta = {"uid": "jim", "umd": [1]}
        assert listed.json == {"items": [{"key": "k", "data": {"a": 1}, "meta": meta}]}


@pytest.mark.parametrize(
    ("query", "code", "named"),
    [
        ("?keys=" + ",".join(map(str, range(101))), "INVALID_REQUEST", "keys"),
        ("?keys=a,,b", "INVALID_STORAGE_KEY", "keys"),
        ("?keys=a%20b", "INVALID_STORAGE_KEY", "keys"),
        ("?keys=%00", "INVALID_STORAGE_KEY", "keys"),
        ("?keys=" + "k" * 129, "INVALID_STORAGE_KEY", "keys"),
        ("?after=*", "INVALID_STORAGE_KEY", "after"),
        ("?after=%00", "INVALID_STORAGE_KEY", "after"),
        ("?" + "&".join(["a=1"] * 2000), "INVALID_REQUEST", "query"),
    ],
    ids=["101", "empty", "space", "nul", "long", "star", "after nul", "fields"],
)
async def test_a_malformed_query_is_refused(
    every_server: Server, channel: str, query: str, code: str, named: str
) -> None:
    async with backend(every_server) as api:
        refused = await api.channel(channel, f"/storage{query}")
        assert refused.refusal == (400, code)
        assert named in refused.json["error"]["message"]


# --- paths that no honest client sends ----------------------------------------------------------

HOSTILE = [
    *("/channels/%", "/channels/%zz", "/channels/%2", "/channels%2Fa", "/channels/a%00b"),
    *("//channels/a", "/channels/a/../b", "/channels/..%2fa", "/channels/%e2%82"),
    *("/channels/a?keys", "/channels/a/storage?keys=%ff&after=%ff", "/channels/a?%00"),
    *(
        "/channels/a/messages",
        "/channels/a/messages/",
        "/channels//messages/",
        "/channels/messages/",
    ),
    *("/channels/%zz/messages/%zz", "/channels/a/messages/%ff", "/channels/a/messages/a/messages/"),
    *("/schedules/", "/schedules/%ff", "/publish/", "/publish/x", "http://h/channels/a"),
    "/channels/" + "a" * 8000,
]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_hostile_path_is_answered(every_server: Server, method: str) -> None:
    for target in HOSTILE:
        assert 200 <= await status(every_server, method, target) < 500, target


async def status(server: Server, method: str, target: str) -> int:
    """Of a request whose target is sent as it is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    key = server.env["API_SECRET_KEY_1"]
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    writer.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return int(line.split()[1])
