"""Revoked tokens, closed connections and bans (protocol.md section 19, "Revocation")."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest

from tests.support.backend import Backend, backend
from tests.support.client import Client, eventually
from tests.support.connecting import Refused, connect, handshake, open_client, subscribed
from tests.support.grants import room
from tests.support.servers import Server, manage, token
from tests.support.stored import rows

Two = tuple[Server, Server]
REVOKED = (4403, "")
ALL: dict[str, Any] = {"historyStart": 0, "storage": {"*": {"get": True, "set": True}}}
FOREVER: dict[str, Any] = {"uid": None, "address": None, "channel": None, "until": None}
ADDRESSES = iter(range(1, 250))


async def accepted(api: Backend, path: str, **body: Any) -> Any:
    """The answer's JSON."""
    answered = await api.call("POST", path, body)
    assert answered.status in {201, 202}, answered.text
    return answered.json


async def refused(server: Server, jwt: str, **headers: str) -> int:
    """The status with which a handshake is refused."""
    with pytest.raises(Refused) as refusal:
        await handshake(f"{server.ws_url}?token={jwt}", additional_headers=headers)
    return refusal.value.status


async def let_in(server: Server, jwt: str) -> None:
    """In the end."""

    async def comes_in() -> bool:
        with suppress(Refused):
            async with connect(server, jwt=jwt):
                return True
        return False

    assert await eventually(comes_in)


async def listed(api: Backend, path: str) -> list[dict[str, Any]]:
    """All of a list, whatever its number of pages."""
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["id"] if found else 0
        answered = await api.call("GET", f"{path}?after={after}")
        assert answered.status == 200
        found += answered.json["items"]
        if len(answered.json["items"]) < 100:
            return found


def elsewhere(client: Client, server: Server) -> Client:
    """The same connection, where its calls go to another process."""
    there = Client(server, client.socket)
    there.connected = client.connected
    return there


# --- tokens -------------------------------------------------------------------------------------


async def test_a_revoked_token_closes_what_it_opened_and_opens_nothing_more(
    every_server: Server, channel: str
) -> None:
    jwt = token(every_server, uid=channel, jti=channel)
    async with backend(every_server) as api, connect(every_server, jwt=jwt) as jim:
        assert await accepted(api, "/tokens/revoke", jti=channel) == {"connections": 1}
        if every_server.kind != "daphne":  # which refuses the code
            assert await jim.closed() == REVOKED
        assert await refused(every_server, jwt) in {401, 403}  # 403: daphne
        async with connect(every_server, uid=channel, jti=f"{channel}-2"):
            pass
        [item] = [each for each in await listed(api, "/tokens/revoked") if each["jti"] == channel]
        assert item == {**item, "uid": None, "issuedBefore": None, "expiresAt": None}
        sql = "SELECT detail FROM chat_auditentry WHERE action = ? AND detail LIKE ?"
        [[detail]] = rows(every_server, sql, "revoke tokens", f"%{channel}%")
        about = {"id": item["id"], "jti": channel, "issuedBefore": None, "expiresAt": None}
        assert json.loads(detail) == about


async def test_of_a_uid_those_issued_before(every_server: Server, channel: str) -> None:
    now = int(time.time())
    old, without, new = (
        token(every_server, uid=channel, iat=iat) for iat in (now - 60, None, now - 10)
    )
    body = {"uid": channel, "issuedBefore": now - 30, "expiresAt": now + 600.5}
    async with (
        backend(every_server) as api,
        connect(every_server, jwt=old),
        connect(every_server, jwt=without),
        connect(every_server, jwt=new) as kept,
    ):
        assert await accepted(api, "/tokens/revoke", **body) == {"connections": 2}
        await kept.settle()
        for jwt in (old, without):
            assert await refused(every_server, jwt) in {401, 403}
        async with connect(every_server, jwt=new), connect(every_server, uid="other"):
            pass
        [item] = [each for each in await listed(api, "/tokens/revoked") if each["uid"] == channel]
        assert item == {"id": item["id"], "jti": None, **body}
        await accepted(api, "/tokens/revoke", uid=channel)  # now, rounded up
        assert await refused(every_server, new) in {401, 403}
        assert await refused(every_server, token(every_server, uid=channel, iat=now))


async def test_subscribe_and_umd_tokens_are_revoked(processes: Two, channel: str) -> None:
    """At once also in the process that has not heard of it: its commits look for themselves."""
    one, other = processes
    granted = token(one, scope="subscribe umd", uid=channel, jti=channel, channels=room(channel))
    async with (
        backend(one) as api,
        connect(other, uid=channel) as holds,
        connect(other, uid=channel) as asks,
    ):
        await holds.subscribe(channel, granted)
        assert await accepted(api, "/tokens/revoke", jti=channel) == {"connections": 1}
        ask = {"event": "hotsock.subscribe", "channel": channel, "data": {"token": granted}}
        await asks.send(ask)
        await asks.error("INVALID_SUBSCRIBE_TOKEN", "hotsock.subscribe", channel)
        await asks.send({"event": "hotsock.umdUpdate", "data": {"token": granted}})
        await asks.error("UMD_UPDATE_PERMISSION_DENIED", "hotsock.umdUpdate", None)
        umd = token(one, scope="umd", uid=channel, jti=channel, umdUpdate=True)
        await asks.send({"event": "hotsock.umdUpdate", "data": {"token": umd}})
        await asks.error("INVALID_UMD_TOKEN", "hotsock.umdUpdate", None)
        assert (await asks.call("umdUpdate", {"token": umd})).refusal == (403, "INVALID_UMD_TOKEN")
        assert await holds.closed() == REVOKED


# --- connections --------------------------------------------------------------------------------


async def test_all_that_is_given_must_match(processes: Two, channel: str) -> None:
    one, other = processes
    names = [f"{channel}-{number}" for number in range(2)]
    rights = {name: room(name)[name] for name in names}
    async with (
        backend(one) as api,
        connect(one, uid=channel, channels=rights) as jim,
        connect(other, uid=channel, channels=rights) as again,
        connect(other, uid="pam", channels=rights) as pam,
    ):
        await jim.subscribe(names[0])
        await again.subscribe(names[1])
        borrowed = token(one, scope="subscribe", connectionId=pam.id, uid=channel)
        await pam.subscribe(names[1], borrowed)  # under the uid of the others
        asked = {"connectionId": jim.id, "channel": names[1]}
        assert await accepted(api, "/connections/disconnect", **asked) == {"connections": 0}
        asked = {"uid": "pam", "channel": names[1]}
        assert await accepted(api, "/connections/disconnect", **asked) == {"connections": 0}
        asked = {"uid": channel, "channel": names[0]}
        assert await accepted(api, "/connections/disconnect", **asked) == {"connections": 1}
        assert await jim.closed() == REVOKED
        await again.settle()
        assert await accepted(api, "/connections/disconnect", uid=channel) == {"connections": 2}
        for client in (again, pam):
            assert await client.closed() == REVOKED
        async with subscribed(one, names[0], uid=channel) as back:
            asked = {"connectionId": back.id}
            assert await accepted(api, "/connections/disconnect", **asked) == {"connections": 1}
            assert await back.closed() == REVOKED


# --- bans ---------------------------------------------------------------------------------------


async def test_who_is_banned_is_out_until_the_ban_is_lifted(processes: Two, channel: str) -> None:
    one, other = processes
    jwt = token(other, uid=channel)
    borrowing = {"scope": "subscribe", "uid": channel, "channels": room(channel)}
    async with (
        backend(one) as api,
        connect(other, jwt=jwt) as banned,
        connect(other, uid="pam") as pam,
    ):
        borrowed = token(one, **borrowing, connectionId=pam.id)
        await pam.subscribe(channel, borrowed)
        until = int(time.time()) + 600.25
        ban = await accepted(api, "/bans", uid=channel, until=until, reason="spam")
        assert await banned.closed() == REVOKED
        await pam.receive("hotsock.unsubscribed")
        for server in processes:
            assert await refused(server, jwt) == 403
        ask = {"event": "hotsock.subscribe", "channel": channel, "data": {"token": borrowed}}
        await pam.send(ask)
        await pam.error("SUBSCRIBE_PERMISSION_DENIED", "hotsock.subscribe", channel)
        [item] = [each for each in await listed(api, "/bans") if each["id"] == ban["id"]]
        about = {"uid": channel, "until": until, "reason": "spam"}
        assert item == {**FOREVER, "id": ban["id"], **about}
        lifted = await api.call("DELETE", f"/bans/{ban['id']}")
        assert (lifted.status, lifted.text) == (204, "")
        again = await api.call("DELETE", f"/bans/{ban['id']}")
        assert again.status == 404
        assert ban["id"] not in [each["id"] for each in await listed(api, "/bans")]

        await let_in(other, jwt)


STORE = {"chat": -1, "typing": 0}
VERBS: list[tuple[str, str, dict[str, Any]]] = [
    ("PUBLISH_PERMISSION_DENIED", "typing", {}),
    ("PUBLISH_PERMISSION_DENIED", "chat", {}),
    ("STORAGE_PERMISSION_DENIED", "hotsock.channelStorageSet", {"key": "k", "data": 1}),
    ("SUBSCRIBE_PERMISSION_DENIED", "hotsock.subscribe", {}),
]


async def test_a_channel_ban_ends_every_right_there_and_nothing_else(
    processes: Two, channel: str
) -> None:
    one, other = processes
    messages = {name: {"broadcast": True, "store": store} for name, store in STORE.items()}
    rights = {name: room(name, messages, **ALL)[name] for name in (channel, f"{channel}-2")}
    async with (
        backend(one) as api,
        connect(other, uid=channel, channels=rights) as jim,
        subscribed(one, channel, channels=room(channel, historyStart=0), uid="pam") as pam,
    ):
        for name in rights:
            await jim.subscribe(name)
        await jim.publish(channel)  # its route is known
        id = (await pam.receive("chat"))["id"]
        await accepted(api, "/bans", uid=channel, channel=channel)
        ended = await jim.receive("hotsock.unsubscribed")
        assert ended["channel"] == channel
        for code, event, fields in VERBS:
            await jim.send({"event": event, "channel": channel, **fields})
            await jim.error(code, event, channel)
        for server in processes:
            calling = elsewhere(jim, server)
            message = {"channel": channel, "event": "chat"}
            entry = {"channel": channel, "key": "k", "data": 1}
            reaction = {"messageId": id, "reaction": "👍", "action": "add"}
            reacting = {"channel": channel, "event": "hotsock.messageReaction", "data": reaction}
            for operation, body, code in (
                ("publishMessage", message, "PUBLISH_PERMISSION_DENIED"),
                ("publishMessage", reacting, "NOT_SUBSCRIBED"),
                ("channelStorageSet", entry, "STORAGE_PERMISSION_DENIED"),
                ("listMessages", {"channel": channel}, "NOT_SUBSCRIBED"),
            ):
                assert (await calling.call(operation, body)).refusal == (403, code)
        await jim.publish(f"{channel}-2")
        await pam.nothing(jim)
        async with connect(one, uid=channel, channels=rights) as again:  # handshakes go on
            await again.subscribe(f"{channel}-2")


async def test_a_reaction_is_refused_while_a_ban_is_on_its_way(
    processes: Two, channel: str
) -> None:
    """In the process that knows of it, though the one that holds the subscription does not."""
    one, _ = processes
    async with backend(one) as api, subscribed(one, channel, uid=channel) as jim:
        id = await jim.store(channel)
        await jim.receive("chat")
        await accepted(api, "/bans", uid=channel, channel=channel)
        await jim.react(channel, id)
        frames = [await jim.receive() for _ in range(2)]
        assert {frame["event"] for frame in frames} == {"hotsock.unsubscribed", "hotsock.error"}


@pytest.mark.parametrize("name", ["server", "postgres_server"])
async def test_addresses_and_networks(request: pytest.FixtureRequest, name: str) -> None:
    """As a trusted proxy reports them; IPv4-mapped ones are of IPv4."""
    server: Server = request.getfixturevalue(name)
    host = next(ADDRESSES)
    mapped, plain = f"::ffff:203.0.113.{host}", f"203.0.113.{host}"
    jwt, via = token(server), {"X-Forwarded-For": plain}
    async with backend(server) as api:
        client = await open_client(server, jwt, additional_headers=via)
        ban = await accepted(api, "/bans", address=mapped)
        assert await client.closed() == REVOKED
        assert await refused(server, jwt, **via) == 403
        [item] = [each for each in await listed(api, "/bans") if each["id"] == ban["id"]]
        assert item["address"] == plain
        async with connect(server):
            pass
        await accepted(api, "/bans", address=f"2001:db8:{host:x}::1/48")
        inside = {"X-Forwarded-For": f"2001:db8:{host:x}:2::3"}
        assert await refused(server, jwt, **inside) == 403
        assert (await api.call("DELETE", f"/bans/{ban['id']}")).status == 204
        await (await handshake(f"{server.ws_url}?token={jwt}", additional_headers=via)).close()


async def test_a_ban_ends_at_its_time(every_server: Server, channel: str) -> None:
    async with backend(every_server) as api:
        await accepted(api, "/bans", uid=channel, until=time.time() + 1.5)
        await refused(every_server, token(every_server, uid=channel))

        await let_in(every_server, token(every_server, uid=channel))
        assert channel not in [each["uid"] for each in await listed(api, "/bans")]


async def test_it_takes_effect_though_nobody_is_notified(processes: Two, channel: str) -> None:
    """While the broker is away, each process finds it in the database."""
    one, other = processes
    async with connect(one, uid=channel) as here, connect(other, uid=channel) as there:
        rows(
            one,
            "INSERT INTO chat_restriction (number, jti, uid, address, channel, reason, created_at)"
            " SELECT coalesce(max(number), 0) + 1, '', ?, '', '', '', now() FROM chat_restriction",
            channel,
        )
        for client in (here, there):
            assert await client.closed() == REVOKED


# --- what is malformed --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/connections/disconnect", {}, "connectionId"),
        ("/connections/disconnect", {"connectionId": ""}, "connectionId"),
        ("/connections/disconnect", {"uid": ""}, "uid"),
        ("/connections/disconnect", {"uid": 1}, "uid"),
        ("/connections/disconnect", {"channel": "a b"}, "channel"),
        ("/tokens/revoke", {}, "jti"),
        ("/tokens/revoke", {"jti": "j", "uid": "u"}, "jti"),
        ("/tokens/revoke", {"jti": "j", "issuedBefore": 1}, "issuedBefore"),
        ("/tokens/revoke", {"jti": "j" * 257}, "jti"),
        ("/tokens/revoke", {"uid": "u" * 129}, "uid"),
        ("/tokens/revoke", {"uid": "u", "issuedBefore": -1}, "issuedBefore"),
        ("/tokens/revoke", {"uid": "u", "issuedBefore": "now"}, "issuedBefore"),
        ("/tokens/revoke", {"uid": "u", "expiresAt": 1}, "expiresAt"),
        ("/tokens/revoke", {"uid": "u", "expiresAt": 1e18}, "expiresAt"),
        ("/bans", {}, "address"),
        ("/bans", {"uid": "u", "address": "192.0.2.1"}, "address"),
        ("/bans", {"address": "192.0.2.1", "channel": "c"}, "channel"),
        ("/bans", {"uid": "u", "channel": "#"}, "channel"),
        ("/bans", {"address": "nowhere"}, "address"),
        ("/bans", {"address": "fe80::1%eth0"}, "address"),
        ("/bans", {"address": "128.0.0.0/7"}, "address"),
        ("/bans", {"address": "2001:db8::/31"}, "address"),
        ("/bans", {"address": "127.0.0.1"}, "FORWARDED_ALLOW_IPS"),
        ("/bans", {"address": "127.0.0.0/8"}, "FORWARDED_ALLOW_IPS"),
        ("/bans", {"address": "::ffff:127.0.0.1"}, "FORWARDED_ALLOW_IPS"),
        ("/bans", {"address": "::1"}, "FORWARDED_ALLOW_IPS"),
        ("/bans", {"uid": "u", "until": 1}, "until"),
        ("/bans", {"uid": "u", "until": True}, "until"),
        ("/bans", {"uid": "u", "reason": "r" * 501}, "reason"),
        ("/bans", {"uid": "u", "reason": "\0"}, "NUL"),
    ],
)
async def test_what_is_malformed(
    server: Server, path: str, body: dict[str, Any], named: str
) -> None:
    async with backend(server) as api:
        answered = await api.call("POST", path, body)
        assert answered.status == 400
        assert named in answered.json["error"]["message"]


@pytest.mark.parametrize("path", ["/bans?after=x", "/bans?after=-1", "/tokens/revoked?after=1.5"])
async def test_a_page_after_no_id(server: Server, path: str) -> None:
    async with backend(server) as api:
        assert (await api.call("GET", path)).refusal == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("id", ["0", "x", "9" * 30, "%00"])
async def test_a_ban_that_there_is_not(server: Server, id: str) -> None:
    async with backend(server) as api:
        assert (await api.call("DELETE", f"/bans/{id}")).refusal == (404, "INVALID_REQUEST")


async def test_all_of_it_needs_a_key(server: Server) -> None:
    async with backend(server) as api:
        for method, path in (
            *[("POST", path) for path in ("/connections/disconnect", "/tokens/revoke", "/bans")],
            *[("GET", path) for path in ("/tokens/revoked", "/bans")],
            ("DELETE", "/bans/1"),
        ):
            assert (await api.call(method, path, headers={})).refusal == (401, "INVALID_API_KEY")


async def test_a_list_has_pages(server: Server, channel: str) -> None:
    async with backend(server) as api:
        for number in range(101):
            await accepted(api, "/tokens/revoke", jti=f"{channel}-{number}")
        found = [each for each in await listed(api, "/tokens/revoked") if each["jti"]]
        own = [each for each in found if each["jti"].startswith(channel)]
        assert [each["jti"] for each in own] == [f"{channel}-{number}" for number in range(101)]
        assert [each["id"] for each in own] == sorted({each["id"] for each in own})


# --- from the command line ----------------------------------------------------------------------


def command(server: Server, *arguments: str) -> tuple[int, str]:
    outcome = manage(server.env, *arguments)
    said = outcome.stderr if outcome.returncode else outcome.stdout
    return outcome.returncode, said.strip()


def audited(server: Server) -> list[str]:
    """What has been done by commands so far, as the audit log has it."""
    sql = "SELECT action FROM chat_auditentry WHERE actor = 'command' ORDER BY id"
    return [action for (action,) in rows(server, sql)]


@pytest.mark.parametrize("name", ["server", "postgres_server"])
async def test_commands_beside_a_running_server(
    request: pytest.FixtureRequest, name: str, channel: str
) -> None:
    server: Server = request.getfixturevalue(name)
    before = audited(server)
    async with subscribed(server, channel, uid=channel, jti=channel) as jim:
        code, id = command(server, "ban", "--uid", channel, "--channel", channel)
        assert code == 0
        assert (await jim.receive("hotsock.unsubscribed"))["channel"] == channel
        assert command(server, "unban", id) == (0, f"Lifted ban {id}.")
        assert command(server, "unban", id) == (1, f"CommandError: There is no ban {id} in force.")
        code, said = command(server, "disconnect", "--uid", channel)
        assert (code, said) == (0, "Connections that are closed: 1")
        assert await jim.closed() == REVOKED
    async with connect(server, uid=channel, jti=channel) as jim:
        code, said = command(server, "revoke", "--jti", channel)
        assert (code, said) == (0, "Revoked. Connections that are closed for it: 1")
        assert await jim.closed() == REVOKED
    acts = ["ban", "lift ban", "disconnect", "revoke tokens"]
    assert audited(server)[len(before) :] == acts
    code, said = command(server, "ban", "--address", "10.0.0.0/4")
    assert (code, "at most a /8" in said) == (1, True)
