"""`make bench`: ours beside its peers, each row in the same run.

Server and generator have a core each. Peers take turns, several times, and medians are compared;
where the machine has other work, the CPU time of a delivery is the steadiest figure.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import cpu
from benchmarks.generator.connection import Refused
from benchmarks.generator.loop import Measured
from benchmarks.peers import PEERS, Missing, Peer, Running
from benchmarks.scenarios.talk import TALKS, Talk
from tests.servers import StartError

RUNS: Final = 3
SECONDS: Final = 1.5
SLOW_PEERS: Final = ("tutorial",)

Runs = dict[str, list[Measured]]


def main() -> None:
    options = arguments()
    with (
        tempfile.TemporaryDirectory(prefix="chatsite-bench-") as directory,
        cpu.pinned(cpu.cores()[1]),
    ):
        for name in options.only:
            talk = TALKS[name]
            with started(options.peers, Path(directory)) as running:
                runs = take_turns(talk, running, options)
            show(talk, runs)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    names = list(TALKS)
    parser.add_argument("--only", type=listed(names), default=names, help=",".join(names))
    parser.add_argument("--peers", type=listed(list(PEERS)), default=list(PEERS))
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of one run")
    parser.add_argument("--chunk", type=int, default=0, help="frames that are sent at once")
    return parser.parse_args()


def listed(known: list[str]) -> type:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {known}")
        return names

    return parse  # type: ignore[return-value]


@contextlib.contextmanager
def started(names: list[str], directory: Path) -> Iterator[list[tuple[Peer, Running]]]:
    """Those that are installed; each that is not is named in a sentence."""
    with contextlib.ExitStack() as stack:
        running = []
        for name in names:
            peer = PEERS[name]()
            own = directory / name
            own.mkdir(exist_ok=True)
            try:
                running.append((peer, stack.enter_context(peer.start(own))))
            except (Missing, StartError) as error:
                print(f"{peer.title} is left out: {error}", file=sys.stderr)
        yield running


def take_turns(
    talk: Talk, running: list[tuple[Peer, Running]], options: argparse.Namespace
) -> Runs:
    runs: Runs = {}
    for _ in range(options.runs):
        for peer, server in running:
            try:
                taken = talk.run(peer, server, options.seconds, chunk=options.chunk)
            except (Refused, TimeoutError, OSError) as error:
                print(f"{talk.name}, {peer.title}: {error!r}", file=sys.stderr)
                continue
            runs.setdefault(peer.name, []).append(taken)
    return runs


def show(talk: Talk, runs: Runs) -> None:
    print(f"\n{talk.title}")
    for name, taken in runs.items():
        rate = median(each.rate for each in taken)
        used = median(each.server_us for each in taken)
        busy = median(each.server_busy for each in taken)
        own = median(each.generator_busy for each in taken)
        times = sorted(t for each in taken for t in each.chunk_seconds) or [0.0]
        print(
            f"  {PEERS[name].title:<28}{rate:>12,.0f}/s{used:>8.2f} µs"
            f"  server {busy:>4.0%}  generator {own:>4.0%}"
            f"  p50 {times[len(times) // 2] * 1e3:.2f} p99 {times[len(times) * 99 // 100] * 1e3:.2f} ms"
        )


if __name__ == "__main__":
    main()
