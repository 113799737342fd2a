"""What asking a token costs beside the message that it allows."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from benchmarks.peers import Running
from benchmarks.peers.base import Role
from benchmarks.peers.ours import Ours
from chat.protocol import frames
from chat.protocol.session import Session
from tokens.claims import parse_claims

from .base import Figures, Options, Run, Scenario
from .talk import TALKS

ENTRIES: Final = 100
PATTERNS: Final = 30
ASKED: Final = 100_000


class Many(Ours):
    """Each token has a hundred entries, a third of them wildcards and regular expressions."""

    def target(self, running: Running, room: str, who: str, role: Role) -> str:
        return self.connect(running, uid=who, channels=channels(room))


def channels(room: str) -> dict[str, Any]:
    rights = {"subscribe": True, "messages": {"chat": {"publish": True}, "*": {"echo": False}}}
    half = PATTERNS // 2
    return {
        room: Ours.directives,
        **{f"team-{number}": rights for number in range(ENTRIES - PATTERNS - 1)},
        **{f"team-{number}-*": rights for number in range(half - 1)},
        "room-*": {"messages": {"chat": {"publish": True}}},
        **{f"#regex:^(dept|team)-{number}-[a-z0-9]+$": rights for number in range(half - 1)},
        "#regex:^room-[0-9]+$": {"messages": {"chat": {"publish": True}}},
    }


class Permissions(Scenario):
    name = "permissions"
    title = f"1 → 1, with {ENTRIES} channel entries in each token, {PATTERNS} of them patterns"
    short = True
    names: ClassVar = {
        "many": f"ours, {ENTRIES} entries in each token",
        "one": "ours, one entry",
    }

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        with Ours().start(directory) as running:
            yield {
                "many": partial(_many, running, options.seconds),
                "one": partial(_talk, Ours(), running, options.seconds),
            }


def _talk(peer: Ours, running: Running, seconds: float) -> Figures:
    talk = TALKS["fanout-1"]
    return talk.run(peer, running, running, seconds, talk.chunk).figures()


def _many(running: Running, seconds: float) -> Figures:
    figures = _talk(Many(), running, seconds)
    check = _check_us()
    percent = check / figures["server_us_message"] * 100
    return figures | {"check_us": check, "check_percent": percent}


def _check_us() -> float:
    """Of one permission that was asked for before, in microseconds of CPU: as each frame asks for
    it (chat/connections/frame_loop.py)."""
    payload = {"exp": 4_000_000_000, "scope": "connect", "uid": "jim", "channels": channels("room")}
    claims = parse_claims(json.dumps(payload).encode(), scope="connect")
    session = Session("connection", claims)
    session.resume("room", None, "", "null")
    session.route("room", "chat").is_ephemeral = True  # as actions.publishing decides
    frame = frames.parse('{"channel":"room","event":"chat"}')
    began = time.process_time()
    for _ in range(ASKED):
        pass
    empty, began = time.process_time() - began, time.process_time()
    for _ in range(ASKED):
        try:
            route = session.routes[frame.channel][frame.event]
        except KeyError:
            route = None
        if route is None or not route.is_ephemeral:
            raise ValueError("the permission is missing")
    return (time.process_time() - began - empty) / ASKED * 1e6
