"""`make profile SCENARIO=fanout-100`: a flame graph of the server while it serves a scenario.

py-spy looks at it from outside, 400 times a second: for the picture at the thread that has
Python's lock, so that those that wait are not in it, for the figures at all. What each part of the
way takes of a message's recorded microseconds goes to the results, for docs/performance.md.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Final

from benchmarks import cpu, results
from benchmarks.peers.ours import STARTED
from benchmarks.results import Row
from benchmarks.scenarios.base import VERSIONS, Figures, Options
from benchmarks.scenarios.registry import SCENARIOS

SECONDS: Final = 8
RATE: Final = 400
CONNECTING_SECONDS: Final = 4
LONG: Final = CONNECTING_SECONDS + 2 * SECONDS + 2
"""Seconds of a run that is looked at as a whole."""

SPY: Final = Path(sys.executable).with_name("py-spy")
PICTURE: Final = "profile-{}.svg"  # beside the results
FRAME: Final = re.compile(r"(?P<name>\S+) \((?P<file>[^()]*?)(?::\d+)?\)$")

PARTS: Final = {
    "permission": r"tokens/|chat/protocol/session",
    "parse": r"chat/protocol/(decod|frames|command)|msgspec",
    "encode": r"chat/protocol/",
    "store": (
        r"chat/store/|chat/models/|django/db/"
        r"|psycopg|sqlite3"
    ),
    "write": (
        r"chat/fanout/send_queue|chat/server/websocket.py:(send|\w*write)"
        r"|websockets/.*:(send|serialize|write)"
    ),
    "fan out": r"chat/(fanout|cluster)/",
    "read": r"chat/server/|uvicorn/|websockets/",
    "verbs": r"chat/|channels/|asgiref/",
}
"""Part -> how its code is called, `file:function`. Of a stack, the innermost frame that has a part
counts: what it calls of libraries and of the system is its own."""

WAITS: Final = re.compile(
    r"_worker \(concurrent/futures|\S*_for_first \(chat/store/writer"
    r"|\S*(wait|get) \((threading|queue)"
)
"""Innermost frames of threads that have nothing to do: py-spy takes a wait in C for work."""
REST: Final = "event loop"


def main() -> None:
    options = _arguments()
    scenario = SCENARIOS[options.scenario]
    picture = results.DIRECTORY / PICTURE.format(scenario.name)
    with (
        tempfile.TemporaryDirectory(prefix="chatsite-profile-") as directory,
        cpu.pinned(cpu.GENERATOR),
        scenario.sides(Path(directory), ["ours"], Options(seconds=LONG)) as sides,
    ):
        once = sides.get("ours") or next(iter(sides.values()))
        raw = Path(directory) / "raw"
        watching = Thread(target=_watch, args=(STARTED[-1].pids[0], picture, raw))
        watching.start()
        runs = []
        while watching.is_alive():
            runs.append(once())
        watching.join()
        if not raw.exists():
            raise SystemExit("py-spy could not look at the server; it may need root's rights.")
        shares = parts(raw.read_text().splitlines())
    measured = results.fresh(full=True)
    measured.versions |= VERSIONS
    message = _recorded(scenario.name) or median(map(_message_us, runs))
    for part, share in shares.items():
        row = Row(f"profile-{scenario.name}", part, part, [{"share": share, "us": share * message}])
        measured.rows.append(row)
        print(f"  {part:<16}{share:>6.1%}{share * message:>10.1f} µs a message")
    print(f"The flame graph is in {picture.relative_to(results.ROOT)}.")
    if options.save:
        measured.write(results.path_of(measured))


def _recorded(scenario: str) -> float | None:
    """Of a message, when it was last measured: looking at a server costs time too."""
    found = results.newest_rows(results.recorded()).get((scenario, "ours"))
    if found is None:
        return None
    return found[0].median("server_us_message") or found[0].median("server_us")


def _message_us(figures: Figures) -> float:
    return figures.get("server_us_message") or figures["server_us"]


def parts(lines: Iterable[str]) -> dict[str, float]:
    """Part -> its share of the samples; a line is a stack, outermost frame first, and a count."""
    counted: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if not WAITS.match(frames[-1]):
            counted[_part(frames)] += int(count)
    total = sum(counted.values())
    return {part: count / total for part, count in counted.most_common()}


def _part(stack: list[str]) -> str:
    for frame in reversed(stack):
        found = FRAME.search(frame)
        called = f"{found['file']}:{found['name']}" if found else frame
        for part, pattern in PARTS.items():
            if re.match(pattern, called):
                return part
    return REST


def _watch(pid: int, picture: Path, raw: Path) -> None:
    """Once all are connected: the picture, then the stacks and how often each was seen."""
    time.sleep(CONNECTING_SECONDS)
    command = [str(SPY), "record", "-p", str(pid), "-d", str(SECONDS), "-r", str(RATE)]
    working = ["--gil", "-f", "flamegraph", "-o", str(picture)]
    for arguments in (working, ["-f", "raw", "-o", str(raw)]):
        subprocess.run([*command, *arguments], stdout=subprocess.DEVNULL, check=False)  # noqa: S603


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("scenario", choices=list(SCENARIOS), metavar="SCENARIO")
    parser.add_argument("--save", action="store_true", help="keep the parts for the report")
    return parser.parse_args()


if __name__ == "__main__":
    main()
