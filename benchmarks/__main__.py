"""`python -m benchmarks --NAME`: what `make bench` leaves out, each by itself, minutes long.

`make bench` is `python -m benchmarks.bench`.
"""

import sys
from importlib import import_module
from typing import Final

LONG: Final = (
    "admin",
    "brokers",
    "idle",
    "page",
    "presence",
    "purge",
    "search",
    "simulate",
    "tokens",
    "units",
)


def main() -> None:
    which = sys.argv[1].removeprefix("--") if sys.argv[1:] else ""
    if which not in LONG:
        sys.exit(f"There is no benchmark --{which}; there are --{', --'.join(LONG)}.")
    import_module(f"benchmarks.{which}").main(*map(int, sys.argv[2:]))


if __name__ == "__main__":
    main()
