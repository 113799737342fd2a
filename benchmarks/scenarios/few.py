"""One, three and ten messages of each publisher under way: a server finds little that it can join.

In such a loop throughput is mostly waiting, so the figure is the CPU of a delivery.
"""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.generator.loop import measure
from benchmarks.generator.rooms import Room

from .base import Figures, Options, Run, Scenario, started
from .talk import TALKS, Talk

UNDER_WAY: Final = (1, 3, 10)
PEERS: Final = ("ours", "ws", "uws")
KEPT: Final = ("rate", "server_us", "kernel_us")
WARM_SECONDS: Final = 0.03
SHARE: Final = 0.2  # of the seconds of a run that is asked for, for each number under way


class Few(Scenario):
    """The rooms of `talk`, on all servers at once: each run stands beside one of every other
    server, and their ratio is that of a pair."""

    short = True
    runs = 7

    def __init__(self, talk: Talk) -> None:
        self.name, self.title = f"few-{talk.name}", f"{talk.title}, few messages under way"
        self.talk = talk

    @contextlib.contextmanager
    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> Iterator[dict[str, Run]]:
        names = [each for each in PEERS if each in chosen]
        with started(names, directory) as running, ExitStack() as stack:
            yield {
                peer.name: partial(
                    _figures,
                    stack.enter_context(self.talk.connected(peer, server, server, chunk=1)),
                    server.pids,
                    options.seconds * SHARE,
                )
                for peer, server in running
            }


def _figures(rooms: Sequence[Room], pids: Sequence[int], seconds: float) -> Figures:
    found: Figures = {}
    for count in UNDER_WAY:
        for room in rooms:
            room.begin(count)
        figures = measure(rooms, pids, warm=WARM_SECONDS, seconds=seconds).figures()
        found |= {f"{name}_{count}": figures[name] for name in KEPT}
    return found


FEW: Final = tuple(map(Few, TALKS.values()))
