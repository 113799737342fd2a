"""Tokens that are as expensive as their issuer could make them: each costs a server little CPU and
memory, refused or accepted (protocol.md section 3)."""

import json
import os
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.hostile.conftest import memory
from tests.support.connecting import Refused, handshake, subscribed
from tests.support.grants import room
from tests.support.servers import Server

SCALE = int(os.environ.get("HOSTILE_SCALE", "1"))
TIMES = 4 * SCALE
MAX_CPU_SECONDS = 0.02 if SCALE > 1 else 0.3  # of each; a test machine does other things, too
MAX_BYTES = 10 * 1024 * 1024  # of all that a test sends
HEADER = b'{"alg":"HS256"}'
MAX_PAYLOAD_BYTES = 48_000  # 64,000 in Base64


def granting(*channels: str) -> bytes:
    """As many of them as a token can hold."""
    text = b'{"scope":"connect","exp":4102444800,"channels":{%b}}'
    held: list[bytes] = []
    room = MAX_PAYLOAD_BYTES - len(text)
    for channel in channels:
        room -= len(channel.encode()) + 1
        if room < 0:
            break
        held.append(channel.encode())
    return text % b",".join(held)


def regex(expression: str, times: int = 250) -> bytes:
    return granting(*(f"{json.dumps(f'#regex:{at}{expression}')}:{{}}" for at in range(times)))


def unknown(value: str) -> bytes:
    times = MAX_PAYLOAD_BYTES // (len(value) + 1) - 9
    return granting()[:-1] + f',"x":[{",".join([value] * times)}]}}'.encode()


MANY: dict[str, Any] = {"publish": True, "react": [str(number) for number in range(4000)]}
TOKENS = {
    "a header of 40 KB": (b'{"alg":"HS256","x":"%b"}' % (b"x" * 40_000), granting()),
    "a header of 23,000 lists": (b'{"alg":"HS256","x":[%b1]}' % (b"[]," * 7700), granting()),
    **{
        name: (HEADER, payload)
        for name, payload in {
            "2,300 patterns": regex("", 2300),
            "10,000 entries": granting(*(f'"{at:x}":{{}}' for at in range(10_000))),
            "10,000 nulls": granting(*(f'"{at:x}":null' for at in range(10_000))),
            "2,000 channels": granting(*(f'"{at}":{{"getInfo":true}}' for at in range(2000))),
            "2,000 aliases": granting(*(f'"c{at}":{{"alias":"a{at}"}}' for at in range(2000))),
            "2,000 wildcards": granting(*(f'"*a*{at}*":{{}}' for at in range(2000))),
            "long alternations": regex("|".join(f"user-{at}" for at in range(20))),
            "one long alternation": regex("|".join(f"user-{at}" for at in range(4000)), 1),
            "counted repetitions": regex("a{0,999}"),
            "one of many": regex("a{0,999}" * 600, 1),
            "classes of Unicode": regex(r"\pL{9}"),
            "a class, again and again": regex(r"\pL" * 3900, 1),
            "a class or a class": regex(r"(?i)" + r"\PL|" * 3000, 1),
            "many stars": regex("a*" * 90),
            "many bars": regex("|" * 180),
            "many options": regex("[ab]?" * 30),
            "24,000 lists, one in another": granting()[:-1] + b',"x":' + b"[" * 24_000,
            "many lists": unknown("[]"),
            "many objects": unknown('{"":0}'),
            "many strings": unknown('"x"'),
            "many numbers": unknown("1e5"),
            "many that look huge": unknown('"1e99999"'),
            "48,000 digits": unknown("1" * 47_000),
            "many of 4,000 digits": unknown("1" * 4000),
            "an exp beyond all": b'{"scope":"connect","exp":1e400}',
            "many audiences": granting()[:-1] + b',"aud":[%b"x"]}' % (b'"x",' * 11_900),
            "many reactions": granting(f'"*":{{"messages":{{"*":{json.dumps(MANY)}}}}}'),
        }.items()
    },
}


def signed(server: Server, header: bytes, payload: bytes) -> str:
    algorithm = jwt.get_algorithm_by_name("HS256")
    key = jwt.utils.base64url_decode(
        server.env["SIGNING_KEY_1_ENCODED"].replace("+", "-").replace("/", "_")
    )
    parts = b".".join(map(jwt.utils.base64url_encode, (header, payload)))
    return (parts + b"." + jwt.utils.base64url_encode(algorithm.sign(parts, key))).decode()


def cpu_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(server: Server) -> int:
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def present(server: Server, token: str) -> None:
    try:
        socket = await handshake(f"{server.ws_url}?token={token}")
    except Refused:
        return
    await socket.recv()
    await socket.close()


@pytest.mark.parametrize(("header", "payload"), TOKENS.values(), ids=TOKENS)
async def test_a_token_costs_little(
    attacked_uvicorn: Server, header: bytes, payload: bytes
) -> None:
    """Each is another one, so that none is known already."""
    server = attacked_uvicorn
    tokens = [
        signed(server, header, payload[:-1] + b" " * at + payload[-1:]) for at in range(TIMES)
    ]
    assert len(tokens[0]) > 60_000 * (len(payload) > 45_000)
    await present(server, tokens.pop())
    before, spent = peak(server), cpu_seconds(server)
    for token in tokens:
        await present(server, token)
    assert (cpu_seconds(server) - spent) / len(tokens) < MAX_CPU_SECONDS
    assert peak(server) - before < MAX_BYTES


async def test_a_later_token_costs_little(attacked_uvicorn: Server, channel: str) -> None:
    """Those that a connection sends have the same bounds."""
    server = attacked_uvicorn
    async with subscribed(server, channel, uid="jim") as jim:
        before = peak(server)
        for name, (header, payload) in TOKENS.items():
            for scope in ("subscribe", "umd"):
                jwt = signed(
                    server, header, payload.replace(b'"connect"', b'"%b"' % scope.encode())
                )
                event = "hotsock.subscribe" if scope == "subscribe" else "hotsock.umdUpdate"
                await jim.send({"event": event, "channel": f"{channel}-2", "data": {"token": jwt}})
                assert (await jim.receive("hotsock.error"))["error"]["code"], name
        assert peak(server) - before < MAX_BYTES


async def test_what_a_token_allows_is_not_remembered_without_end(
    attacked_uvicorn: Server, channel: str
) -> None:
    """Each event is looked up where two lists of reactions, a long one, come together."""
    granted = room(channel, {"*": MANY, "e*": {"react": ["x"]}})
    async with subscribed(attacked_uvicorn, channel, uid="jim", channels=granted) as jim:
        before = memory(attacked_uvicorn)
        for number in range(300 * SCALE):
            await jim.publish(channel, 1, f"e{number}".ljust(128, "x"))
        await jim.settle()
        assert memory(attacked_uvicorn) - before < MAX_BYTES
