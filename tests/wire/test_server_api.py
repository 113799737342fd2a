"""The server HTTP API: `POST /publish` (protocol.md section 15)."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chat.http.credentials import GUESSES
from tests.support.backend import backend
from tests.support.connecting import subscribed
from tests.support.servers import Server, start_server
from tests.support.stored import rows
from tests.support.ulids import ULID
from tests.wire.test_schedule import PAST

REACTION = {"reaction": "👍", "action": "add", "uid": "robot"}


# --- who may call -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["API_SECRET_KEY_1", "API_SECRET_KEY_2"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_either_key_will_do(
    every_server: Server, channel: str, key: str, scheme: str
) -> None:
    async with backend(every_server) as api:
        api.headers = {"Authorization": f"{scheme} {every_server.env[key]}"}
        assert (await api.publish(channel)).status == 202
        assert (await api.channel(channel)).status == 200
        assert (await api.channel(channel, "/storage")).status == 200


async def test_a_wrong_or_missing_key_is_refused(every_server: Server, channel: str) -> None:
    key = every_server.env["API_SECRET_KEY_1"]
    body = {"channel": channel, "event": "chat", "store": -1}
    async with backend(every_server) as api:
        for headers in (
            {},
            {"Authorization": ""},
            {"Authorization": "Bearer"},
            {"Authorization": key},
            {"Authorization": f"Basic {key}"},
            {"Authorization": f"Bearer {key[:-1]}"},
            {"Authorization": f"Bearer {key}x"},
            {"Authorization": f"Bearer {key.swapcase()}"},
            {"Authorization": "Bearer \xe9"},
            {"X-Api-Key": key},
        ):
            sent = {name: value.encode("latin-1") for name, value in headers.items()}
            for method, path, content in (
                ("POST", "/publish", body),
                ("POST", "/publish", b"not JSON"),
                ("GET", f"/channels/{channel}", None),
                ("GET", f"/channels/{channel}/storage", None),
                ("DELETE", "/schedules/x", None),
            ):
                refused = await api.call(method, path, content, headers=sent)  # type: ignore[arg-type]
                assert refused.refusal == (401, "INVALID_API_KEY"), (headers, path)
                assert refused.headers["www-authenticate"] == "Bearer"
    assert rows(every_server, "SELECT 1 FROM chat_channel WHERE name = ?", channel) == []


async def test_whoever_guesses_keys_is_told_to_wait(server: Server, channel: str) -> None:
    """And nobody else: right keys are answered, from the same address, too."""
    async with backend(server) as api:
        right, there = api.headers, {"X-Forwarded-For": "2001:db8:401::1"}
        api.headers = {**there, "Authorization": "Bearer guess"}
        guesses = 0
        while (refused := await api.publish(channel)).status == 401 and guesses < 3 * GUESSES:
            guesses += 1
            api.headers["X-Forwarded-For"] = f"2001:db8:401::{guesses}"  # the same /64
        assert guesses >= GUESSES
        assert refused.refusal == (429, "RATE_LIMITED")
        assert int(refused.headers["retry-after"]) > 0
        api.headers = {**right, **there}
        assert (await api.publish(channel)).status == 202
        api.headers = there  # no key: no guess
        assert (await api.publish(channel)).status == 401
        api.headers = {"X-Forwarded-For": "2001:db8:402::1", "Authorization": "Bearer guess"}
        assert (await api.publish(channel)).status == 401


async def test_a_key_that_is_not_configured_opens_nothing(tmp_path: Any, channel: str) -> None:
    with start_server("uvicorn", tmp_path, API_SECRET_KEY_2="") as server:
        async with backend(server) as api:
            assert (await api.publish(channel)).status == 202
            for value in ("Bearer", "Bearer x", ""):
                api.headers = {"Authorization": value}
                assert (await api.publish(channel)).refusal == (401, "INVALID_API_KEY")


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        *(("/publish", method, "POST") for method in ("GET", "PUT", "DELETE", "OPTIONS")),
        *(("/channels/c", method, "GET, HEAD") for method in ("POST", "DELETE", "OPTIONS")),
        *(("/channels/c/storage", method, "GET, HEAD") for method in ("POST", "PUT")),
        *(("/channels/c/messages/x", method, "GET, HEAD, DELETE") for method in ("POST", "PUT")),
        *(("/schedules/x", method, "DELETE") for method in ("GET", "POST")),
    ],
)
async def test_other_methods_are_refused(
    any_server: Server, path: str, method: str, allow: str
) -> None:
    async with backend(any_server) as api:
        refused = await api.call(method, path)
        assert refused.refusal == (405, "INVALID_REQUEST")
        assert refused.headers["allow"] == allow


# --- messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [None, 0, -1, 60])
@pytest.mark.parametrize("eager", [True, False, None])
async def test_a_message_reaches_all_who_subscribe(
    every_server: Server, channel: str, store: int | None, eager: bool | None
) -> None:
    """It has no meta; its answer names it where that was asked for; it is stored as long as that
    was asked for, and not at all by default."""
    async with (
        subscribed(every_server, channel, uid="jim") as jim,
        subscribed(every_server, channel) as nobody,
        backend(every_server) as api,
    ):
        data = {"a": [1, "é"]}
        answer = await api.published(channel, data=data, store=store, eagerIdGeneration=eager)
        history = await jim.history(channel)
        frame = await jim.receive("chat")
        assert ULID.fullmatch(frame["id"])
        message = {"id": frame["id"], "event": "chat", "channel": channel, "data": data}
        message |= {"position": 1} if store else {}
        assert frame == message
        assert await nobody.receive("chat") == message
        named = {"id": frame["id"]} if eager else {}
        assert answer == {"channel": channel, "event": "chat", **named}
        assert history == ([message] if store else [])


async def test_what_is_not_stored_never_touches_the_database(
    every_server: Server, channel: str
) -> None:
    async with backend(every_server) as api:
        await api.published(channel, emitPubSubEvent=True)
    assert rows(every_server, "SELECT 1 FROM chat_channel WHERE name = ?", channel) == []


async def test_it_expires_when_it_was_to(every_server: Server, channel: str) -> None:
    async with backend(every_server) as api:
        answer = await api.published(channel, store=3600, eagerIdGeneration=True)
    [[expires]] = rows(
        every_server, "SELECT expires_at FROM chat_message WHERE id = ?", answer["id"]
    )
    if isinstance(expires, str):
        expires = datetime.fromisoformat(expires).replace(tzinfo=UTC)
    assert abs(expires - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)


async def test_data_is_null_where_none_is_given_and_stays_exactly_as_it_was_sent(
    every_server: Server, channel: str
) -> None:
    async with subscribed(every_server, channel) as client, backend(every_server) as api:
        await api.published(channel)
        assert (await client.receive("chat"))["data"] is None
        for store in (0, -1):
            body = f'{{"channel":"{channel}","event":"chat","store":{store},"data":1.0e400}}'
            assert (await api.call("POST", "/publish", body)).status == 202
            assert '"data":1.0e400' in (await client.receive("chat")).text


async def test_messages_come_in_the_order_of_publishing(every_server: Server, channel: str) -> None:
    async with subscribed(every_server, channel) as client, backend(every_server) as api:
        for number in range(40):
            await api.published(channel, data=number, store=-(number % 2))
        got = [(await client.receive("chat"))["data"] for _ in range(40)]
        assert got == list(range(40))


# --- storage and reactions ----------------------------------------------------------------------


async def test_a_storage_entry_is_set_for_ever_and_its_meta_is_null(
    every_server: Server, channel: str
) -> None:
    event = "hotsock.channelStorageSet"
    channels = {channel: {"subscribe": True, "storage": {"k": {"observe": True, "get": True}}}}
    async with (
        subscribed(every_server, channel, uid="jim", channels=channels) as jim,
        backend(every_server) as api,
    ):
        answer = await api.published(channel, event, key="k", data=[1])
        assert answer == {"channel": channel, "event": event}
        frame = await jim.receive("hotsock.channelStorageUpdated")
        assert frame == {
            "event": "hotsock.channelStorageUpdated",
            "channel": channel,
            "key": "k",
            "data": [1],
            "meta": None,
            "position": 1,
        }
        listed = await api.channel(channel, "/storage")
        assert listed.json == {"items": [{"key": "k", "data": [1], "meta": None}]}
        await api.published(channel, event, key="k", data=[1])
        await jim.nothing()
        await api.published(channel, event, key="k", data={})
        assert (await jim.receive("hotsock.channelStorageUpdated"))["data"] is None
        assert (await api.channel(channel, "/storage")).json == {"items": []}


async def test_anybody_can_be_said_to_react(every_server: Server, channel: str) -> None:
    async with subscribed(every_server, channel, uid="jim") as jim, backend(every_server) as api:
        message = await jim.store(channel)
        await jim.receive("chat")
        event = "hotsock.messageReaction"
        data = {**REACTION, "messageId": message, "umd": {"n": 1}}
        for _ in range(2):
            answer = await api.published(channel, event, data=data)
            assert answer == {"channel": channel, "event": event}
        added = await jim.receive("hotsock.messageReactionAdded")
        assert added["data"] == {"messageId": message, "reaction": "👍", "action": "add"}
        assert added["meta"] == {"uid": "robot", "umd": {"n": 1}}
        assert await jim.reactions(channel, message) == [
            {"reaction": "👍", "uid": "robot", "umd": {"n": 1}}
        ]
        await api.published(channel, event, data={**data, "action": "remove"})
        await jim.receive("hotsock.messageReactionRemoved")
        await jim.nothing()


@pytest.mark.parametrize("where", ["nowhere", "another channel"])
async def test_a_reaction_needs_a_message_of_the_channel(
    every_server: Server, channel: str, where: str
) -> None:
    async with backend(every_server) as api:
        id = "0" * 26
        if where == "another channel":
            other = await api.published(f"{channel}-2", store=60, eagerIdGeneration=True)
            id = other["id"]
        refused = await api.publish(
            channel, "hotsock.messageReaction", data={**REACTION, "messageId": id}
        )
        assert refused.refusal == (404, "MESSAGE_NOT_FOUND")


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status", "code", "named"),
    [
        ({"channel": None}, 400, "INVALID_CHANNEL_NAME", "channel"),
        ({"event": None}, 400, "INVALID_MESSAGE", "event"),
        ({"event": "hotsock.subscribe"}, 400, "UNKNOWN_EVENT", "hotsock.subscribe"),
        ({"event": "hotsock.channelStorageSet"}, 400, "INVALID_STORAGE_KEY", "key"),
        ({"event": "hotsock.messageReaction", "data": 1}, 400, "INVALID_MESSAGE", "data"),
        ({"store": True}, 400, "INVALID_MESSAGE", "store"),
        ({"store": 3_155_695_201}, 400, "INVALID_REQUEST", "store"),
        ({"deduplicationId": "x" * 129}, 400, "INVALID_REQUEST", "deduplicationId"),
        ({"data": "\x00"}, 400, "INVALID_MESSAGE", "NUL"),
        ({"data": "x" * 32_767}, 413, "DATA_TOO_LARGE", "data"),
        ({"data": "x" * 140_000}, 413, "DATA_TOO_LARGE", "body"),
        ({"scheduleExpression": PAST}, 400, "INVALID_SCHEDULE_EXPRESSION", "scheduleExpression"),
    ],
    ids=str,
)
async def test_what_is_malformed_is_refused(
    every_server: Server, channel: str, fields: dict[str, Any], status: int, code: str, named: str
) -> None:
    body = {"channel": channel, "event": "chat", "store": -1, **fields}
    async with backend(every_server) as api:
        refused = await api.call("POST", "/publish", body)
        assert refused.refusal == (status, code)
        assert named in refused.json["error"]["message"]
    sql = "SELECT 1 FROM chat_message JOIN chat_channel c ON c.id = channel_id WHERE c.name = ?"
    assert rows(every_server, sql, channel) == []


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b"1", b"{", b'{"event":"chat"', b"\xff\xfe", b"\x00"),
        b'{"channel":"c","event":"chat","data":NaN}',
        b'{"channel":"c","event":"chat","data":"\\ud800"}',
        b'{"channel":"c","event":"chat","store":1e400}',
        b'{"channel":"c","event":"chat","data":' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"channel":"c","event":"chat","x":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
        b'{"channel":"c","event":"chat","' + b"x" * 70_000 + b'":1}',
    ],
    ids=range(14),
)
async def test_a_hostile_body_is_answered(every_server: Server, body: bytes) -> None:
    async with backend(every_server) as api:
        answered = await api.call("POST", "/publish", body)
        assert answered.status in (202, 400), answered.text


# --- schedules ----------------------------------------------------------------------------------


def at(moment: datetime) -> str:
    return f"at({moment.replace(microsecond=0, tzinfo=None).isoformat()})"


@pytest.mark.parametrize("store", [0, -1])
async def test_a_scheduled_message_comes_at_its_time(
    every_server: Server, channel: str, store: int
) -> None:
    """Its answer names the schedule and no id: it gets that when it is delivered."""
    due = datetime.now(UTC) + timedelta(seconds=2)
    async with subscribed(every_server, channel) as client, backend(every_server) as api:
        answer = await api.published(
            channel, store=store, data=1, scheduleExpression=at(due), eagerIdGeneration=True
        )
        assert answer.keys() == {"channel", "event", "scheduleArn"}
        frame = await client.receive("chat")
        placed = {"position"} if store else set()
        assert frame.keys() == {"id", "event", "channel", "data"} | placed
        late = datetime.now(UTC) - due.replace(microsecond=0)
        assert timedelta(0) <= late < timedelta(seconds=1.5)
        assert await client.history(channel) == ([frame] if store else [])
        done = await api.call("DELETE", f"/schedules/{answer['scheduleArn']}")
        assert done.refusal == (404, "INVALID_REQUEST")


async def test_a_schedule_can_be_cancelled_once(every_server: Server, channel: str) -> None:
    due = datetime.now(UTC) + timedelta(days=1)
    event = "hotsock.channelStorageSet"
    async with backend(every_server) as api:
        answer = await api.published(channel, event, key="k", scheduleExpression=at(due))
        path = f"/schedules/{answer['scheduleArn']}"
        cancelled = await api.call("DELETE", path)
        assert (cancelled.status, cancelled.text) == (204, "")
        for unknown in (path, "/schedules/x", "/schedules/a/b", "/schedules/%00", "/schedules/%ff"):
            assert (await api.call("DELETE", unknown)).refusal == (404, "INVALID_REQUEST")
    sql = "SELECT 1 FROM chat_schedule s JOIN chat_channel c ON c.id = s.channel_id WHERE name = ?"
    assert rows(every_server, sql, channel) == []


# --- deduplication ------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [0, -1])
async def test_a_repeat_publishes_nothing_and_answers_what_the_first_did(
    every_server: Server, channel: str, store: int
) -> None:
    async with subscribed(every_server, channel) as client, backend(every_server) as api:
        once = {"deduplicationId": "é" * 128, "store": store}
        first = await api.published(channel, data=1, **once)
        assert first == {"channel": channel, "event": "chat"}
        repeat = await api.published(channel, data=2, eagerIdGeneration=True, **once)
        other = await api.published(f"{channel}-2", eagerIdGeneration=True, **once)
        frame = await client.receive("chat")
        assert repeat == {"channel": channel, "event": "chat", "id": frame["id"]}
        assert frame["data"] == 1
        assert other["id"] != frame["id"]
        await client.nothing()
        assert await client.history(channel) == ([frame] if store else [])
        await api.published(channel, data=3, **once | {"deduplicationId": "another"})
        assert (await client.receive("chat"))["data"] == 3


async def test_an_empty_one_counts_as_absent(every_server: Server, channel: str) -> None:
    async with backend(every_server) as api:
        ids = {
            (await api.published(channel, deduplicationId=id, eagerIdGeneration=True))["id"]
            for id in ("", "", None, None)
        }
        assert len(ids) == 4


async def test_it_is_remembered_for_300_seconds(every_server: Server, channel: str) -> None:
    async with backend(every_server) as api:
        once = {"deduplicationId": "x", "eagerIdGeneration": True, "store": -1}
        first = await api.published(channel, **once)
        sql = "SELECT d.id, expires_at FROM chat_deduplication d JOIN chat_channel c"
        [[row, expires]] = rows(every_server, f"{sql} ON c.id = channel_id WHERE name = ?", channel)
        if isinstance(expires, str):
            expires = datetime.fromisoformat(expires).replace(tzinfo=UTC)
        left = (expires - datetime.now(UTC)).total_seconds()
        assert 285 < left <= 300
        gone = "UPDATE chat_deduplication SET expires_at = ? WHERE id = ?"
        rows(every_server, gone, "2020-01-01 00:00:00", row)
        second = await api.published(channel, **once)
        assert second["id"] > first["id"]
        assert await api.published(channel, **once) == second


async def test_a_schedule_is_made_once(every_server: Server, channel: str) -> None:
    once = {
        "deduplicationId": "x",
        "scheduleExpression": at(datetime.now(UTC) + timedelta(days=1)),
    }
    async with backend(every_server) as api:
        first = await api.published(channel, **once)
        assert first["scheduleArn"]
        assert await api.published(channel, **once) == first
        assert await api.published(channel, deduplicationId="x") == first
        await api.call("DELETE", f"/schedules/{first['scheduleArn']}")
        again = await api.call("DELETE", f"/schedules/{first['scheduleArn']}")
        assert again.status == 404


async def test_what_was_refused_can_be_tried_again(every_server: Server, channel: str) -> None:
    event = "hotsock.messageReaction"
    async with backend(every_server) as api:
        missing = {**REACTION, "messageId": "0" * 26}
        refused = await api.publish(channel, event, data=missing, deduplicationId="x")
        assert refused.status == 404
        stored = await api.published(channel, store=60, eagerIdGeneration=True)
        data = {**REACTION, "messageId": stored["id"]}
        await api.published(channel, event, data=data, deduplicationId="x")


@pytest.mark.parametrize("store", [0, -1])
async def test_of_many_at_once_exactly_one_publishes_and_all_answer_the_same(
    every_server: Server, channel: str, store: int
) -> None:
    async with subscribed(every_server, channel) as client, backend(every_server) as api:
        for turn in range(5):
            once = {"deduplicationId": str(turn), "eagerIdGeneration": True, "store": store}
            answers = await asyncio.gather(
                *(api.published(channel, data=number, **once) for number in range(8))
            )
            frame = await client.receive("chat")
            assert {answer["id"] for answer in answers} == {frame["id"]}
            await client.nothing()
