"""`python -m benchmarks.generator.crowd PORT`: connections that only stay alive, in a process of
their own: it answers what the server asks.

Reads names of files with a JSON list of handshake targets, a line each; says how many connections
it has, each time that it has opened another list. Ends with its standard input.
"""

import json
import select
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .connection import Connection, Crowd, open_many

AT_ONCE: Final = 500
ANSWER_SECONDS: Final = 0.1


def main(port: int) -> None:
    crowd = Crowd()
    while True:
        crowd.answer(ANSWER_SECONDS)
        if not select.select([sys.stdin], [], [], 0)[0]:
            continue
        line = sys.stdin.readline()
        if not line:
            return
        targets = json.loads(Path(line.strip()).read_text())
        for start in range(0, len(targets), AT_ONCE):
            crowd.add(open_many(port, targets[start : start + AT_ONCE], _settle))
            crowd.answer(0)
        print(len(crowd), flush=True)


def _settle(batch: Sequence[Connection]) -> None:
    for connection in batch:
        connection.next_text(b"hotsock.subscribed")


if __name__ == "__main__":
    main(int(sys.argv[1]))
