"""`make measure-code`: how much code there is, and how many files one stored message passes.

It imports nothing of `chat`, `tokens` or `chatsite`: it reads their files, and starts `manage.py
serve` under benchmarks/tracing.py.
"""

import ast
import io
import re
import tempfile
import time
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.checkouts import CHECKOUT, working_tree
from benchmarks.generator.connection import Connection, close_all, open_many
from benchmarks.peers import Running
from benchmarks.peers.ours import Ours
from benchmarks.scenarios.stored import PUBLISH
from tests.support.servers import ROOT

APPS: Final = ("chat", "tokens", "chatsite")
TYPED: Final = ("chat", "tokens")
"""Where `Any` and `type: ignore` are counted."""

LONG: Final = 40
ROUNDS: Final = 11
CHANNEL: Final = "walk"
DATA: Final = "a message number {}"
REST_SECONDS: Final = 0.2
"""Before each message, so that the one before it leaves nothing to do."""


# --- the source ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """A Python file."""

    path: Path
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def lengths(self) -> dict[str, int]:
        """Function -> its lines from `def` to the end; nested functions count too."""
        return {
            f"{self.path}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
            for node in ast.walk(self.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }

    @property
    def any(self) -> int:
        """How often code uses `Any`; imports and comments do not count."""
        return sum(map(_is_any, _nodes(self.tree)))

    @property
    def ignored(self) -> int:
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return sum(
            token.type == tokenize.COMMENT and "type: ignore" in token.string for token in tokens
        )


def sources(app: str) -> list[Source]:
    """The files of an app, without its migrations."""
    paths = (path.relative_to(ROOT) for path in sorted((ROOT / app).rglob("*.py")))
    return [
        Source(path, (ROOT / path).read_text()) for path in paths if "migrations" not in path.parts
    ]


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes, and those of quoted annotations."""
    for node in ast.walk(tree):
        yield node
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "Any" in node.value:
            try:
                quoted = ast.parse(node.value, mode="eval")
            except SyntaxError:
                continue
            yield from ast.walk(quoted)


def _is_any(node: ast.AST) -> bool:
    return (isinstance(node, ast.Name) and node.id == "Any") or (
        isinstance(node, ast.Attribute) and node.attr == "Any"
    )


def print_size() -> None:
    print(f"{'':<10}{'files':>7}{'lines':>8}{'functions':>11}{'median':>8}{'longest':>9}")
    for app in APPS:
        found = sources(app)
        lines = sum(source.text.count("\n") for source in found)
        lengths = _lengths(found)
        longest = max(lengths, key=lambda name: lengths[name])
        print(
            f"{app:<10}{len(found):>7}{lines:>8,}{len(lengths):>11,}"
            f"{median(lengths.values()):>8g}{lengths[longest]:>9}  {longest}"
        )
    over = _lengths(source for app in APPS for source in sources(app))
    over = {name: length for name, length in over.items() if length > LONG}
    print(f"\nfunctions over {LONG} lines: {len(over)}")
    for name, length in sorted(over.items(), key=lambda item: -item[1]):
        print(f"  {length:>4}  {name}")


def _lengths(found: Iterable[Source]) -> dict[str, int]:
    return {name: length for source in found for name, length in source.lengths.items()}


def print_types() -> None:
    found = [source for app in TYPED for source in sources(app)]
    used = sum(source.any for source in found)
    words = sum(len(re.findall(r"\bAny\b", source.text)) for source in found)
    ignored = sum(source.ignored for source in found)
    print(f"\nin {' and '.join(TYPED)}:")
    print(f"  Any: {used} (with imports and prose: {words})")
    print(f"  type: ignore: {ignored}")


# --- the walk of a message ----------------------------------------------------------------------

Walk = dict[str, str]
"""File -> the function that ran in it first; in the order of these calls."""


def walks(directory: Path) -> list[Walk]:
    """The walks of a connection's first and second stored message."""
    output = directory / "trace"
    checkout = working_tree(directory / "code", "-m", "benchmarks.tracing", str(output))
    CHECKOUT.set(checkout)
    with Ours().start(directory) as running:
        rounds = [_round(running, f"walk-{number}", output) for number in range(ROUNDS)]
    return [_common(of_one) for of_one in zip(*rounds, strict=True)]


def _common(taken: Sequence[Walk]) -> Walk:
    """The files that are in every round's walk: a periodic task runs beside some messages only."""
    return {
        file: function for file, function in taken[0].items() if all(file in walk for walk in taken)
    }


def _round(running: Running, channel: str, output: Path) -> list[Walk]:
    hears = {"subscribe": True, "autoSubscribe": True}
    speaks = {"subscribe": True, "messages": {"chat": PUBLISH}}
    opened: list[Connection] = []
    try:
        for granted, expected in ((hears, b"hotsock.subscribed"), (speaks, b"hotsock.connected")):
            target = Ours.connect(running, uid="jim", channels={channel: granted})
            opened += open_many(running.port, [target], lambda batch: None)
            opened[-1].next_text(expected)
        texts = [DATA.format(number) for number in (1, 2)]
        return [_message(channel, text, opened[1], opened[0], output) for text in texts]
    finally:
        close_all(opened)


def _message(
    channel: str, data: str, publisher: Connection, subscriber: Connection, output: Path
) -> Walk:
    """What runs from the sending of a message until its frame is written to the subscriber."""
    time.sleep(REST_SECONDS)
    payload, began = Ours().payload(channel, "jim", data), time.perf_counter_ns()
    publisher.send(payload)
    subscriber.next_text(data.encode())
    ended, port = time.perf_counter_ns(), str(subscriber.socket.getsockname()[1])
    walk: Walk = {}
    for at, *words in map(str.split, output.read_text().splitlines()):
        if int(at) > ended or (int(at) > began and words == [port]):
            break
        if int(at) > began and len(words) == 2:
            walk.setdefault(*words)
    return walk


def print_walk() -> None:
    with tempfile.TemporaryDirectory(prefix="chatsite-code-") as directory:
        first, second = walks(Path(directory))
    print(f"\nfiles that a stored message passes, from socket to socket: {len(second)}")
    for file, function in second.items():
        print(f"  {file}  {function}")
    more = [file for file in first if file not in second]
    less = [file for file in second if file not in first]
    print(
        f"the first of a connection passes {len(first)}; more: {', '.join(more) or 'none'};"
        f" not: {', '.join(less) or 'none'}"
    )


def main() -> None:
    print_size()
    print_types()
    print_walk()


if __name__ == "__main__":
    main()
