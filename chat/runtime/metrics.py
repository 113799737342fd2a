"""Each metric of a process and of its site, by name, with where its number is (docs/metrics.md).
Nothing here is on the path of a message.

Of several workers one is asked; it asks the others, each through a socket in the directory
`shared`, and gives the numbers of all, each under its process.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import MsgspecError, Struct, msgpack

from chat.counts import Histogram, counts
from chat.fanout.broker import BrokerStatus
from chat.protocol.errors import CloseCode
from chat.runtime.node import Node, running

ANSWER_SECONDS: Final = 1.0  # for another worker to answer
PROCESS: Final = "process"
"""The label that says whose number it is; the site's have none."""

CLOSE_CODES: Final = [code for name, code in vars(CloseCode).items() if name.isupper()]
HEARD: Final = (BrokerStatus.SINGLE_PROCESS, BrokerStatus.CONNECTED)

shared: Path | None = None  # where workers share their numbers; None: there is one process
silent: list[Path] = []  # the sockets of those that did not answer the last time

Number = float | Histogram
Values = (
    Number
    | Mapping[str, float]
    | Mapping[str, Histogram]
    | Mapping[str, Number]
    | Mapping[tuple[str, str], float]
)
"""One, or one for each value of the labels."""


class Metric(NamedTuple):
    name: str
    kind: str  # counter, gauge or histogram
    help: str
    read: Callable[[Node], Values]
    labels: tuple[str, ...] = ()


class Sample(Struct, frozen=True):
    """`buckets`: of a histogram, how many values were at most each of its bounds, the last how many
    there were; `value` then is their sum."""

    name: str
    labels: tuple[str, ...]
    value: float
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()


METRICS: Final = (
    # --- connections, as Centrifugo calls them where it has the same --------------------------
    Metric(
        "chat_node_num_clients", "gauge", "Open connections.", lambda node: len(node.connections)
    ),
    Metric(
        *("chat_node_num_subscriptions", "gauge", "Subscriptions of open connections."),
        lambda node: node.hub.subscriptions(),
    ),
    Metric(
        *("chat_node_num_channels", "gauge", "Channels with subscribers."),
        lambda node: len(node.hub.channels()),
    ),
    Metric(
        *("chat_client_handshakes_total", "counter", "Handshakes, by outcome."),
        lambda node: counts.handshakes,
        ("outcome",),
    ),
    Metric(
        *("chat_sockets_turned_away_total", "counter", "Sockets for which there was no place."),
        lambda node: counts.turned_away,
    ),
    Metric(
        *("chat_client_num_server_disconnects_total", "counter", "Closed by the server."),
        lambda node: {str(code): counts.closes[code] for code in CLOSE_CODES},
        ("code",),
    ),
    Metric(
        *("chat_client_num_client_disconnects_total", "counter", "Ended by client or network."),
        lambda node: counts.left,
    ),
    Metric(
        *("chat_client_num_reply_errors_total", "counter", "Refusals, by way and code."),
        lambda node: counts.refusals,
        ("way", "code"),
    ),
    # --- messages -----------------------------------------------------------------------------
    Metric(
        *("chat_transport_messages_received_total", "counter", "What clients sent, by kind."),
        lambda node: {**_messages(), **counts.commands},
        ("kind",),
    ),
    Metric(
        *("chat_transport_messages_sent_total", "counter", "Frames to clients, by kind."),
        lambda node: {"publication": counts.fan_out.sum + counts.held, "reply": counts.replies},
        ("kind",),
    ),
    Metric(
        *("chat_publish_seconds", "histogram", "From a publish until the last socket has it."),
        lambda node: {"ephemeral": counts.ephemeral_seconds, "stored": counts.stored_seconds},
        ("kind",),
    ),
    Metric(
        *("chat_fanout_subscribers", "histogram", "To how many a message went at once."),
        lambda node: counts.fan_out,
    ),
    Metric(
        *("chat_send_queue_bytes", "gauge", "Bytes that wait for clients that read slowly."),
        lambda node: sum(node.connections.unsent()),
    ),
    Metric(
        *("chat_send_queue_clients", "gauge", "Clients that read slowly."),
        lambda node: len(node.connections.unsent()),
    ),
    # --- the database -------------------------------------------------------------------------
    Metric(
        *("chat_writer_batch_operations", "histogram", "Operations in a transaction."),
        lambda node: counts.batch_operations,
    ),
    Metric(
        *("chat_writer_commit_seconds", "histogram", "From BEGIN until COMMIT is answered."),
        lambda node: counts.commit_seconds,
    ),
    Metric(
        *("chat_writer_waiting_bytes", "gauge", "Bytes of operations not committed yet."),
        lambda node: node.writer.waiting_bytes,
    ),
    Metric(
        *("chat_writer_refused_total", "counter", "Operations that were refused, by reason."),
        lambda node: counts.refused,
        ("reason",),
    ),
    Metric(
        *("chat_work_parked_total", "counter", "Work that could not be done, by kind."),
        lambda node: counts.parked,
        ("work",),
    ),
    # --- processes ----------------------------------------------------------------------------
    Metric(
        *("chat_broker_connected", "gauge", "1: other processes are heard, or there are none."),
        lambda node: float(node.hub.broker.status in HEARD),
    ),
    Metric(
        *("chat_broker_backlog_bytes", "gauge", "Bytes that wait for the broker."),
        lambda node: node.hub.broker.backlog,
    ),
    Metric(
        *("chat_broker_lag_seconds", "gauge", "Through the broker and back."),
        lambda node: node.hub.broker.lag,
    ),
    Metric(
        *("chat_broker_failures_total", "counter", "The broker's link broke, or took nothing."),
        lambda node: counts.broker_failures,
    ),
    Metric(
        *("chat_broker_dropped_total", "counter", "Dropped between processes, by reason."),
        lambda node: counts.broker_dropped,
        ("reason",),
    ),
    Metric(
        *("chat_gap_repairs_total", "counter", "Reads of what no announcement brought."),
        lambda node: counts.gap_repairs,
    ),
    Metric(
        *("chat_gap_waiting_bytes", "gauge", "Bytes that wait for what comes before them."),
        lambda node: node.hub.waiting_bytes,
    ),
    Metric(
        *("chat_lease_age_seconds", "gauge", "Since the lease was renewed."),
        lambda node: node.loop.time() - node.lease.renewed_at,
    ),
    Metric(
        *("chat_lease_seconds", "gauge", "How long a lease lasts."),
        lambda node: node.lease.seconds,
    ),
    Metric(
        *("chat_lease_losses_total", "counter", "Times that others took it for dead."),
        lambda node: counts.lease_losses,
    ),
    Metric(
        *("chat_takeovers_total", "counter", "Times that it found others dead."),
        lambda node: counts.takeovers,
    ),
    Metric(
        *("chat_reaper_backlog", "gauge", "Ended connections whose rows are still there."),
        lambda node: len(node.reaper.backlog),
    ),
    Metric(
        *("chat_event_loop_lag_seconds", "histogram", "By how much a timer of a second is late."),
        lambda node: counts.loop_lag_seconds,
    ),
    Metric(
        *("chat_background_task_failures_total", "counter", "Failures, and restarts, by task."),
        lambda node: counts.task_failures,
        ("task",),
    ),
)
SITE: Final = (
    Metric(
        *("chat_workers_silent", "gauge", "Workers of this host that did not answer."),
        lambda node: len(silent),
    ),
    Metric(
        *("chat_database_up", "gauge", "1: the database has answered a read."),
        lambda node: float(node.backlogs.answered),
    ),
    Metric(
        *("chat_backlog_rows", "gauge", "Work that is due, by kind; 10,000: or more."),
        lambda node: {kind: each.rows for kind, each in node.backlogs.found.work.items()},
        ("work",),
    ),
    Metric(
        *("chat_backlog_oldest_seconds", "gauge", "How long the first of it has waited."),
        lambda node: {kind: each.oldest_seconds for kind, each in node.backlogs.found.work.items()},
        ("work",),
    ),
    Metric(
        *("chat_expired_rows", "gauge", "Rows not purged yet, by kind; 10,000: or more."),
        lambda node: {kind: each.rows for kind, each in node.backlogs.found.expired.items()},
        ("rows",),
    ),
    Metric(
        *("chat_expired_oldest_seconds", "gauge", "How long ago the first of them expired."),
        lambda node: {
            kind: each.oldest_seconds for kind, each in node.backlogs.found.expired.items()
        },
        ("rows",),
    ),
)
"""Of the whole site, or host: the process that is asked gives them."""


# --- of this process ----------------------------------------------------------------------------


def samples(node: Node, metrics: Iterable[Metric], *process: str) -> list[Sample]:
    """`process`: the last label's value, where there is one."""
    return [sample for metric in metrics for sample in _samples(metric, node, process)]


def _samples(metric: Metric, node: Node, process: tuple[str, ...]) -> Iterator[Sample]:
    values = metric.read(node)
    for labels, value in values.items() if isinstance(values, Mapping) else (((), values),):
        named = (*((labels,) if isinstance(labels, str) else labels), *process)
        if isinstance(value, Histogram):
            buckets = tuple(accumulate(value.counts))
            yield Sample(metric.name, named, value.sum, tuple(value.bounds), buckets)
        else:
            yield Sample(metric.name, named, value)


def _messages() -> dict[str, float]:
    return {"ephemeral": counts.ephemeral, "stored": counts.stored, "scheduled": counts.scheduled}


def own_samples(node: Node) -> list[Sample]:
    return samples(node, METRICS, str(os.getpid()))


# --- of all workers -----------------------------------------------------------------------------


async def share() -> list[asyncio.Server]:
    """A server that gives a worker's numbers to whoever connects to its socket, where there are
    several."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        node = running()
        writer.write(msgpack.encode(own_samples(node) if node else []))
        writer.close()

    return [await asyncio.start_unix_server(answer, path) for path in _sockets()[:1]]


async def all_samples(node: Node) -> list[Sample]:
    """Of the site and, on this host, of all its processes that answer."""
    others = _sockets()[1:]
    _, *answers = await asyncio.gather(node.backlogs.look(), *map(_ask, others))
    silent[:] = [path for path, answer in zip(others, answers, strict=True) if answer is None]
    found = [sample for answer in answers for sample in answer or ()]
    return [*samples(node, SITE), *own_samples(node), *found]


def _sockets() -> list[Path]:
    """This worker's, then those of the others."""
    if shared is None:
        return []
    own = shared / str(os.getpid())
    return [own, *(each for each in shared.iterdir() if each != own)]


async def _ask(path: Path) -> list[Sample] | None:
    """None: it is there, and does not answer."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return msgpack.decode(await reader.read(), type=list[Sample])
            finally:
                writer.close()
    except TimeoutError:
        return None
    except (OSError, MsgspecError):  # it has ended, or does so at this moment
        _remove(path)
        return []


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
