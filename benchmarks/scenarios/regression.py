"""Short scenarios of `make bench-against`: our server alone, filled through its public protocol."""

import contextlib
import http.client
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.generator.connection import Refused, close_all, open_many
from benchmarks.generator.loop import Usage
from benchmarks.large import CHANNEL
from benchmarks.peers import Running
from benchmarks.peers.base import DATA
from benchmarks.peers.ours import Ours
from tests.support.servers import Server

from .base import Figures, Options, Run, Scenario
from .handshakes import run as connect
from .history import PAGE, caller
from .history import run as list_pages
from .memory import Idle
from .presence import Presence

CONNECTIONS: Final = 600
WARM: Final = 100
POSTS: Final = 400
CALLS: Final = 80
REACTIONS: Final = ("👍", "❤️")
REACT: Final = "hotsock.messageReaction"


class OneServer(Scenario):
    """One server; `prepare` runs once, `run` is measured."""

    names: ClassVar = {"ours": "ours"}

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        with Ours().start(directory) as running:
            self.prepare(running)
            yield {"ours": lambda: self.run(running)}

    def prepare(self, running: Running) -> None:
        """Does nothing by default."""

    def run(self, running: Running) -> Figures:
        raise NotImplementedError


class Subscribing(OneServer):
    name = "handshakes"
    title = "new connections, each with a fresh token that subscribes it to one channel"

    def prepare(self, running: Running) -> None:
        self._connect(running, WARM)

    def run(self, running: Running) -> Figures:
        return self._connect(running, CONNECTIONS)

    def _connect(self, running: Running, count: int) -> Figures:
        people = [f"u{next(_numbers):07}" for _ in range(count)]
        targets = [Ours().target(running, "news", who, "member") for who in people]
        return connect(running, targets, b"hotsock.subscribed")


class Pages(OneServer):
    name = "list-messages"
    title = f"listMessages: {PAGE} messages with two reactions each"

    def prepare(self, running: Running) -> None:
        rights = {"publish": True, "echo": True, "store": 86400, "react": True}
        messages = {"chat": rights, REACT: {"echo": True}}
        granted = {"subscribe": True, "autoSubscribe": True, "messages": messages}
        targets = [Ours.connect(running, uid="jim", channels={CHANNEL: granted})]
        [jim] = opened = open_many(running.port, targets, Ours().settle)
        try:
            for _ in range(PAGE):
                jim.send(Ours().payload(CHANNEL, "jim"))
            ids = [json.loads(jim.next_text(b'"chat"'))["id"] for _ in range(PAGE)]
            reactions = [{"messageId": id, "reaction": each} for id in ids for each in REACTIONS]
            for reaction in reactions:
                data = {**reaction, "action": "add"}
                jim.send(json.dumps({"event": REACT, "channel": CHANNEL, "data": data}).encode())
            for _ in reactions:
                jim.next_text(REACT.encode())
        finally:
            close_all(opened)

    def run(self, running: Running) -> Figures:
        with caller(running) as call:
            return list_pages(call, dict, CALLS, PAGE, running.pids)


class Posting(OneServer):
    name = "http-publish"
    title = "POST /publish of the server HTTP API, one after another, to one subscriber"

    def run(self, running: Running) -> Figures:
        server = running.keep["server"]
        assert isinstance(server, Server)  # noqa: S101
        headers = {"Authorization": f"Bearer {server.env['API_SECRET_KEY_1']}"}
        body = json.dumps({"channel": "posted", "event": "chat", "data": DATA})
        targets = [Ours().target(running, "posted", "pam", "member")]
        [pam] = opened = open_many(running.port, targets, Ours().settle)
        client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        try:
            for number in range(-20, POSTS):
                if number == 0:
                    usage = Usage(running.pids)
                client.request("POST", "/publish", body, headers)
                answer = client.getresponse()
                if answer.read() and answer.status != 202:
                    raise Refused(f"POST /publish was answered with {answer.status}")
                pam.next_text(DATA.encode())
            return {"server_us": usage.since()[0] / POSTS * 1e6}
        finally:
            client.close()
            close_all(opened)


class SmallPresence(Presence):
    title = "a presence channel of 200 members: one joins"
    members = 200


class SmallIdle(Idle):
    connections: ClassVar = {False: 2000}


_numbers: Final = itertools.count()
