"""What a scenario is: sides that do the same work, by turns."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.peers import PEERS, Missing, Peer, Running
from tests.support.servers import StartError

Figures = dict[str, float]
"""What one run of one side measured: name -> number; the unit is in the name."""

VERSIONS: Final[dict[str, str]] = {}
"""Of every server that was started, by its title."""

Run = Callable[[], Figures]


@dataclass(frozen=True)
class Options:
    seconds: float = 1.5
    chunk: int = 0  # 0: what suits the scenario and the peer
    rows: int = 10_000_000  # of the largest table
    full: bool = False


class Scenario:
    name: str
    title: str
    short: bool = False
    """Whether the short form has it."""

    runs: int = 0
    """0: as many as asked for."""

    names: ClassVar[Mapping[str, str]] = {}
    """Side -> its name, where it is not a peer's."""

    def sides(
        self, directory: Path, chosen: Sequence[str], options: Options
    ) -> AbstractContextManager[dict[str, Run]]:
        """Starts what is needed; each side's function does one run."""
        raise NotImplementedError

    def notes(self) -> dict[str, object]:
        """What a reader should know of the work: sizes, windows."""
        return {}

    def title_of(self, side: str) -> str:
        return self.names.get(side) or PEERS[side].title


@contextlib.contextmanager
def started(chosen: Sequence[str], directory: Path) -> Iterator[list[tuple[Peer, Running]]]:
    """Those that are installed; each that is not is named in a sentence."""
    with ExitStack() as stack:
        running = []
        for name in chosen:
            peer = PEERS[name]()
            own = directory / name
            own.mkdir(exist_ok=True)
            try:
                running.append((peer, stack.enter_context(peer.start(own))))
                VERSIONS[peer.title] = running[-1][1].version
            except (Missing, StartError) as error:
                print(f"{peer.title} is left out: {error}", file=sys.stderr)
        yield running
