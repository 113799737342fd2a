"""`python -m benchmarks.counting`: what counting costs a message (docs/metrics.md). Under 10 s.

Times each function on a message's path that counts, as it is and without the statements that count.
Ends with 1 where a message pays more than MOST_NS.
"""

import ast
import asyncio
import inspect
import os
import secrets
import sys
import time
from collections.abc import Callable
from textwrap import dedent
from timeit import Timer
from types import SimpleNamespace
from typing import Any, Final

MOST_NS: Final = 200
RUNS: Final = 60
CALLS: Final = 2_000
COUNTING: Final = ("counts", "fan_out", "audience_size", "delivered")  # what such statements name
WIDTH: Final = 48


def main() -> None:
    os.environ.update(DJANGO_SETTINGS_MODULE="chatsite.settings", DATABASE_URL="sqlite://:memory:")
    os.environ.update(DEBUG="false", SECRET_KEY=secrets.token_urlsafe(48))
    import django

    django.setup()
    costs = asyncio.run(measured())
    path = costs["Feed._deliver"] + costs["Broadcast.send"]
    costs["an ephemeral message, alone in its read"] = path + costs["publishing.broadcast"]
    costs["a stored message, beside its batch"] = path + costs["publishing.store"]
    for what, cost in costs.items():
        print(f"{what:<{WIDTH}}{cost:>6.0f} ns")
    sys.exit(max(list(costs.values())[-2:]) > MOST_NS)


async def measured() -> dict[str, float]:
    """What counting adds, in nanoseconds."""
    from chat.actions import publishing
    from chat.counts import counts
    from chat.fanout.announcements import Ephemeral
    from chat.fanout.hub import Broadcast, Feed, Waiting

    nothing: Any = lambda *_, **__: None  # noqa: E731
    session: Any = SimpleNamespace(last_numbers={}, connection_id="c", source=None)
    sender = SimpleNamespace(meta=b"{}", uid=None, umd=b"{}")
    rights = SimpleNamespace(echo=True, store=1, emit_pubsub_event=False)
    template = SimpleNamespace(frame=nothing)
    route: Any = SimpleNamespace(
        channel="c", event="e", sender=sender, rights=rights, template=template
    )
    hub: Any = SimpleNamespace(announce=nothing)
    quotas = SimpleNamespace(take=nothing)
    writer: Any = SimpleNamespace(put=nothing, quotas=quotas)
    audience, run = Broadcast(), [b"1"]
    feed, passing = Feed("c", Waiting(), nothing, nothing), Ephemeral("c", 0, run)

    def a_batch() -> None:
        counts.commit_seconds.since(time.monotonic())
        counts.batch_operations.observe(1)
        counts.stored_seconds.since(time.monotonic())

    return {
        "publishing.broadcast": added(publishing.broadcast, hub, session, route, run),
        "publishing.store": added(
            publishing.store, writer, session, route, b"1", nothing, None, None
        ),
        "Feed._deliver": added(Feed._deliver, feed, passing),
        "Broadcast.send": added(Broadcast.send, audience, b"1", 1, None),
        "a batch of the writer's, whatever is in it": cost(a_batch),
    }


def added(function: Callable[..., object], *arguments: object) -> float:
    """By turns, so that another program slows both."""
    both = function, without_counting(function)
    costs = [[cost(each, *arguments) for each in both] for _ in range(RUNS)]
    counting, plain = map(min, zip(*costs, strict=True))
    return counting - plain


def cost(function: Callable[..., object], *arguments: object) -> float:
    return min(Timer(lambda: function(*arguments)).repeat(3, CALLS)) / CALLS * 1e9


def without_counting(function: Callable[..., object]) -> Callable[..., object]:
    """The same function without the statements that count."""
    tree = ast.parse(dedent(inspect.getsource(function)))
    defined: Any = tree.body[0]
    kept = [
        each for each in defined.body if not any(name in ast.unparse(each) for name in COUNTING)
    ]
    if len(kept) == len(defined.body):
        raise ValueError(f"{defined.name} counts nothing")
    defined.body = kept
    names: dict[str, Any] = {}
    exec(compile(tree, "<without counting>", "exec"), vars(sys.modules[function.__module__]), names)  # noqa: S102
    plain: Callable[..., object] = names[defined.name]
    return plain


if __name__ == "__main__":
    main()
