"""The counts of all runs of `make test-faults`: a line of JSON each in `results.jsonl`.

Run as a program it adds them up: what was reached in all, by fault, case and broker.
"""

import json
import subprocess
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("results.jsonl")


def commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=FILE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip()


def append(result: dict[str, Any]) -> None:
    with FILE.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result, ensure_ascii=False) + "\n")


def main() -> None:
    totals: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    worst: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for line in FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else ():
        run = json.loads(line)
        name = run["fault"], run["case"], run.get("broker", "redis")
        totals[name].update({"runs": 1, run["outcome"]: 1}, **run["numbers"])
        for what, value in run["measured"].items():
            worst[name][what] = max(value, worst[name].get(what, value))
    for name, counts in sorted(totals.items()):
        print(*name, dict(counts), "worst:", worst[name])


if __name__ == "__main__":
    main()
