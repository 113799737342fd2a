"""Whether what one process announces reaches the others: a message to itself comes back."""

import secrets
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Final

import psycopg
from django.db import connections
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from chat.cluster.postgresql_broker import PID, QUEUE_USAGE, SILENT, UNLISTEN
from chat.cluster.postgresql_session import address
from chat.cluster.redis_layer import prefix
from chat.conf import settings
from chat.doctor.findings import Finding, Observed, Version, error, sentence, warning
from chat.store.databases import connection

ANSWER_SECONDS: Final = 2.0
MIN_PUBSUB_BYTES: Final = 64 * 1024**2
PUBSUB_LIMIT: Final = "pubsub 256mb 64mb 60"
ALONE: Final = (
    "Processes find what others store seconds later, from the database; what is not stored reaches"
    " only the clients of its own process."
)


def broker() -> Iterator[Observed]:
    if settings.REDIS_URL:
        yield from _redis()
    elif settings.DATABASE in connections and connection.vendor == "postgresql":
        yield from _postgresql()


# --- Redis --------------------------------------------------------------------------------------


def _redis() -> Iterator[Observed]:
    try:
        with closing(_client()) as client:
            client.ping()
            with suppress(ResponseError):  # a user may be forbidden to ask
                yield Version("Redis", str(client.info("server")["redis_version"]))
            if not _comes_back(client):
                yield _deaf("Redis does not return what is published there.")
            with suppress(ResponseError):
                yield from _little_room(client)
    except (RedisError, OSError) as failure:
        yield error(
            "broker.unusable",
            f"Redis cannot be used: {sentence(failure)}.",
            ALONE,
            'Start it, or correct REDIS_URL; `redis-cli -u "$REDIS_URL" ping` tries the same.',
        )


def _client() -> Redis:
    seconds = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    return Redis.from_url(settings.REDIS_URL, **seconds)


def _comes_back(client: Redis) -> bool:
    """Under a name of this site's, since its user may be confined to those."""
    name = f"{prefix()}.doctor.{secrets.token_hex(8)}"
    with closing(client.pubsub()) as heard:  # type: ignore[no-untyped-call]
        heard.subscribe(name)
        until = time.monotonic() + ANSWER_SECONDS
        while (left := until - time.monotonic()) > 0:
            message = heard.get_message(timeout=left)
            if message is not None and message["type"] == "subscribe":
                client.publish(name, b"")
            elif message is not None:
                return True
    return False


def _little_room(client: Redis) -> Iterator[Finding]:
    limits = str(client.config_get("client-output-buffer-limit")["client-output-buffer-limit"])
    *_, soft, _ = limits.partition("pubsub ")[2].split()[:3]
    if 0 < int(soft) < MIN_PUBSUB_BYTES:
        times = client.info("stats").get("client_output_buffer_limit_disconnections", "unknown")
        yield warning(
            "broker.little-room",
            f"Redis cuts off a process that has {int(soft) / 1024**2:g} MiB to read for a while"
            f" (client-output-buffer-limit). Times since it started: {times}.",
            "A process that is busy for seconds loses what is not stored.",
            f'redis-cli CONFIG SET client-output-buffer-limit "{PUBSUB_LIMIT}", and the same in'
            " redis.conf",
        )


def _deaf(problem: str) -> Finding:
    return error(
        "broker.deaf",
        problem,
        ALONE,
        "Let BROKER_URL name PostgreSQL's own address, or REDIS_URL a Redis that may publish and"
        " subscribe; and restart.",
    )


# --- PostgreSQL ---------------------------------------------------------------------------------


def _postgresql() -> Iterator[Observed]:
    try:
        with _session() as listener, _session() as sender:
            if not _hears(listener, sender):
                yield _deaf(SILENT)
            yield from _full_queue(sender)
    except (psycopg.Error, OSError) as failure:
        yield error(
            "broker.unusable",
            f"PostgreSQL cannot be used for announcements: {sentence(failure)}.",
            ALONE,
            "Start it, or correct BROKER_URL or, where that is empty, DATABASE_URL.",
        )


def _session() -> psycopg.Connection:
    return psycopg.connect(address("chat doctor"), autocommit=True)


def _hears(listener: psycopg.Connection, sender: psycopg.Connection) -> bool:
    """Where it does not, the session that LISTENs is a pooler's, which is freed."""
    name = f"doctor_{secrets.token_hex(8)}"
    [pid] = _row(listener, f"LISTEN {name}; {PID}")
    sender.execute("SELECT pg_notify(%s, '')", [name])
    if any(listener.notifies(timeout=ANSWER_SECONDS, stop_after=1)):
        return True
    listener.execute(UNLISTEN.format(pid))
    return False


def _row(session: psycopg.Connection, statements: str) -> tuple[object, ...]:
    """The row that the last of two statements gives."""
    cursor = session.execute(statements.encode())
    cursor.nextset()
    return cursor.fetchone() or ()


def _full_queue(session: psycopg.Connection) -> Iterator[Finding]:
    [[usage]] = session.execute("SELECT pg_notification_queue_usage()").fetchall()
    if usage > QUEUE_USAGE:
        yield warning(
            "broker.queue",
            f"PostgreSQL's queue of notifications is {usage:.0%} full.",
            "A session LISTENs and takes nothing; once the queue is full, nothing is announced.",
            "SELECT pid, application_name, state, xact_start FROM pg_stat_activity ORDER BY"
            " xact_start; end the one that has been in a transaction for long.",
        )
