"""Pages of history, of a channel that is long in a table that is longer."""

import contextlib
import http.client
import itertools
import json
import random
import select
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from benchmarks.databases import TITLES, Kind, database
from benchmarks.generator.connection import Refused, open_many
from benchmarks.generator.loop import Usage, percentiles
from benchmarks.large import CHANNEL, SHARE, large
from benchmarks.peers import Running
from benchmarks.peers.ours import Ours

from .base import Figures, Options, Run, Scenario

SHORT_ROWS: Final = 200_000
PAGE: Final = 100
CALLS: Final = {False: 150, True: 500}


@dataclass(frozen=True)
class History(Scenario):
    kind: Kind
    names: ClassVar = {
        "first": "the first page",
        "middle": "pages anywhere",
        "last": "the last page",
        "newest": "the newest page, backwards",
    }

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"history-{self.kind}"

    @property
    def title(self) -> str:  # type: ignore[override]
        return (
            f"listMessages on {TITLES[self.kind]}: {PAGE} messages with reactions of a channel"
            " with a tenth of the table"
        )

    @property
    def short(self) -> bool:  # type: ignore[override]
        return self.kind == "sqlite"

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        rows = options.rows if options.full else SHORT_ROWS
        with (
            database(self.kind, directory) as disk,
            Ours().start(directory, DATABASE_URL=large(disk, rows)) as running,
            caller(running) as call,
        ):
            calls = CALLS[options.full]
            anywhere = random.Random(1)  # noqa: S311  # the same pages each time
            last = rows - PAGE * SHARE

            def middle() -> dict[str, Any]:
                return {"after": _id(anywhere.randrange(last))}

            asked: dict[str, Callable[[], dict[str, Any]]] = {
                "first": dict,
                "middle": middle,
                "last": lambda: {"after": _id(last)},
                "newest": lambda: {"reverse": True},
            }
            pids = [*running.pids, *disk.pids]
            yield {
                side: partial(run, call, body, calls, rows, pids) for side, body in asked.items()
            }


def _id(number: int) -> str:
    return f"01K5{number:022}"


Call = Callable[[dict[str, Any]], list[Any]]


@contextlib.contextmanager
def caller(running: Running) -> Iterator[Call]:
    """Calls listMessages as a subscriber that may read everything."""
    granted = {CHANNEL: {"subscribe": True, "historyStart": 0}}
    target = Ours.connect(running, uid="jim", channels=granted)
    [socket] = open_many(running.port, [target], lambda batch: None)
    told = json.loads(socket.next_text(b"hotsock.connected"))["data"]
    socket.send(json.dumps({"event": "hotsock.subscribe", "channel": CHANNEL}).encode())
    socket.next_text(b"hotsock.subscribed")
    names = ("connectionId", "connectionSecret")
    path = f"/connection/listMessages?{urlencode({name: told[name] for name in names})}"
    client = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)

    def call(body: dict[str, Any]) -> list[Any]:
        while select.select([socket.fileno], [], [], 0)[0]:
            socket.read()  # pings, which it answers
        client.request("POST", path, json.dumps({"channel": CHANNEL, **body}))
        answer = client.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise Refused(content.decode()[:300])
        messages: list[Any] = json.loads(content)["messages"]
        return messages

    try:
        yield call
    finally:
        client.close()
        socket.close()


def run(
    call: Call, body: Callable[[], dict[str, Any]], calls: int, rows: int, pids: Sequence[int]
) -> Figures:
    """One call after another; each page is full, and each message has its reactions."""
    taken = []
    usage = None
    for number in itertools.count(-5):
        if number == calls:
            break
        if number == 0:
            usage = Usage(pids)
        asked, began = body(), time.perf_counter()
        page = call(asked)
        if number >= 0:
            taken.append(time.perf_counter() - began)
        if len(page) != PAGE or any(len(message["reactions"]) != 2 for message in page):
            raise Refused(f"a page of {len(page)} messages, or without their reactions")
    used = usage.since()[0] if usage else 0.0
    return {**percentiles(taken), "server_us": used / calls * 1e6, "table_rows": rows}


HISTORY: Final = (History("sqlite"), History("postgresql"))
