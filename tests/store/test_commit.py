"""Operations into real databases: together, or each alone where that fails (P1)."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection

from chat.models import Channel, Message, Subscription
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.store import writer as writers
from chat.store.databases import DatabaseUnavailable, StatementTimeout
from chat.store.transaction import Operation, Transaction
from chat.store.writer import commit
from tests.support.written import do, new_id, node, opening, react, store, subscribing


def refused(outcome: Any) -> ErrorCode | None:
    return outcome.code if isinstance(outcome, ProtocolError) else None


def data_of(channel: str) -> list[str]:
    return list(Message.objects.filter(channel__name=channel).values_list("data", flat=True))


@dataclass(slots=True)
class Broken(Operation[None]):
    """Fails at its own place: when it reads, when it applies, or when its row is written."""

    when: str
    channel: str = ""

    def locks(self) -> tuple[str, ...]:
        return (self.channel,) if self.channel else ()

    @classmethod
    def load(cls, transaction: Transaction, operations: Any) -> None:
        if any(operation.when == "load" for operation in operations):
            transaction.select("SELECT * FROM no_such_table")

    def apply(self, transaction: Transaction) -> None:
        match self.when:
            case "apply":
                raise KeyError(self.when)
            case "write":
                transaction.add("message", (None,) * 9)
            case "delete":
                transaction.execute("DELETE FROM no_such_table WHERE id = ?", (1,))
            case "foreign key":
                transaction.add("connection", tuple(opening_row()))


def opening_row() -> list[Any]:
    """A connection of a node that does not exist."""
    now = "2024-01-01 00:00:00"
    return [new_id(), now, "{}", "", "jim", "null", "", "no such node", "0" * 64, now, False]


@pytest.mark.parametrize("when", ["load", "apply", "write", "delete", "foreign key"])
def test_one_bad_operation_fails_alone(database: str, channel: str, when: str) -> None:
    """A foreign key is checked at COMMIT, by both databases."""
    first, bad, last = commit([store(channel, "1"), Broken(when, channel), store(channel, "2")])
    assert refused(bad) is ErrorCode.SERVICE_UNAVAILABLE
    assert first < last
    assert data_of(channel) == ["1", "2"]
    assert Channel.objects.get(name=channel).number == 2
    assert isinstance(do(store(channel, "3"))[0], str)


def test_a_subscription_of_a_connection_that_is_gone_spoils_no_message(
    database: str, channel: str
) -> None:
    message, subscription = commit([store(channel, "1"), subscribing(new_id(), channel)])
    assert isinstance(message, str)
    assert refused(subscription) is ErrorCode.SERVICE_UNAVAILABLE
    assert data_of(channel) == ["1"]
    assert not Subscription.objects.filter(channel__name=channel).exists()


def test_a_refusal_is_its_operations_alone(database: str, channel: str) -> None:
    first, refusal, last = commit(
        [store(channel, "1"), react(channel, "no such message"), store(channel, "2")]
    )
    assert refused(refusal) is ErrorCode.MESSAGE_NOT_FOUND
    assert first < last
    assert data_of(channel) == ["1", "2"]


def test_outcomes_come_in_the_order_of_the_operations(database: str, channel: str) -> None:
    process = node()
    channels = [f"{channel}-{letter}" for letter in "cab"]
    operations = [process, *(store(name) for name in channels), opening(process.id)]
    outcomes = do(*operations)
    assert outcomes[0] is None
    for name, outcome in zip(channels, outcomes[1:4], strict=True):
        assert Message.objects.get(channel__name=name).id == outcome
    assert outcomes[4].tzinfo is not None


def test_a_batch_is_one_transaction(database: str, channel: str) -> None:
    do(store(f"{channel}-a"), store(f"{channel}-b"))
    one, other = Channel.objects.filter(name__startswith=channel)
    assert one.changed_at == other.changed_at


# --- the database goes away ------------------------------------------------------------------


@dataclass(slots=True)
class Disconnected(Operation[None]):
    """Ends its own connection to PostgreSQL in the middle of its transaction."""

    def apply(self, transaction: Transaction) -> None:
        transaction.select("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.fixture
def terminated(postgres_default: None, channel: str) -> Iterator[None]:
    """Between two batches, PostgreSQL ended the connection."""
    do(store(channel, "0"))
    driver = connection.connection
    pid = driver.info.backend_pid

    def terminate() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        connection.close()

    thread = threading.Thread(target=terminate)
    thread.start()
    thread.join()
    assert connection.connection is driver
    yield
    assert connection.connection is not driver


@pytest.mark.usefixtures("terminated")
def test_a_connection_that_was_lost_between_batches_is_made_anew(channel: str) -> None:
    do(store(channel, "1"), store(channel, "2"))
    assert data_of(channel) == ["0", "1", "2"]


@pytest.mark.usefixtures("postgres_default")
def test_a_connection_that_is_lost_within_a_batch_loses_nothing_else(channel: str) -> None:
    first, bad, last = commit([store(channel, "1"), Disconnected(), store(channel, "2")])
    assert refused(bad) is ErrorCode.SERVICE_UNAVAILABLE
    assert first < last
    assert data_of(channel) == ["1", "2"]


def broken_commit(*, sent: bool, error: Exception | None = None) -> Callable[..., Any]:
    """`Transaction.execute` whose connection breaks at COMMIT: after it was sent, or before."""
    execute = Transaction.execute

    def breaking(transaction: Transaction, sql: str, parameters: Any = ()) -> Any:
        if sql != "COMMIT":
            return execute(transaction, sql, parameters)
        if sent:
            execute(transaction, sql, parameters)
        connection.connection.close()
        raise error or OSError("the connection broke")

    return breaking


@pytest.mark.usefixtures("postgres_default")
@pytest.mark.parametrize("sent", [True, False])
def test_a_commit_that_is_not_answered_is_looked_up(
    channel: str, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    with monkeypatch.context() as breaking:
        breaking.setattr(Transaction, "execute", broken_commit(sent=sent))
        outcomes = commit([store(channel, "1"), store(channel, "2")])
    assert data_of(channel) == (["1", "2"] if sent else [])
    unavailable = [ErrorCode.SERVICE_UNAVAILABLE] * 2
    assert [refused(outcome) for outcome in outcomes] == ([None] * 2 if sent else unavailable)
    do(store(channel, "3"))


@pytest.mark.usefixtures("postgres_default")
def test_what_waits_behind_a_commit_that_times_out_is_refused_before_its_outcome_is_known(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To ask for it takes as long again where PostgreSQL hangs."""
    ask, happened = writers._ask, []

    def refuse_others() -> bool:
        happened.append("others refused")
        return True

    def asked(sql: str, value: object) -> object:
        happened.append(sql)
        return ask(sql, value)

    with monkeypatch.context() as patch:
        timed_out = broken_commit(sent=True, error=StatementTimeout("no answer"))
        patch.setattr(Transaction, "execute", timed_out)
        patch.setattr(writers, "_ask", asked)
        [outcome] = commit([store(channel, "1")], refuse_others)
    assert happened == ["others refused", writers.STATUS, writers.STORED]
    assert refused(outcome) is None


@pytest.mark.usefixtures("sqlite")
def test_while_another_program_holds_the_file_all_are_refused(
    channel: str, sqlite_database: str
) -> None:
    do(store(channel, "0"))
    connection.connection.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(sqlite_database.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outcomes = commit([store(channel, "1"), store(channel, "2")])
    assert [refused(outcome) for outcome in outcomes] == [ErrorCode.SERVICE_UNAVAILABLE] * 2
    other.close()
    do(store(channel, "3"))
    assert data_of(channel) == ["0", "3"]


def test_where_no_transaction_can_begin_all_are_refused_and_later_ones_are_not(
    database: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr(writers, "_cursor", lambda: 1 / 0)
        outcomes = commit([store(channel, "1"), store(channel, "2")])
    assert [refused(outcome) for outcome in outcomes] == [ErrorCode.SERVICE_UNAVAILABLE] * 2
    do(store(channel, "3"))
    assert data_of(channel) == ["3"]


def test_what_is_refused_makes_no_channel(database: str, channel: str) -> None:
    names = [channel, f"{channel}-2", f"{channel}-3"]
    react_to_nothing = [react(name, new_id()) for name in names]
    outcomes = commit([react_to_nothing[0], store(names[1], "1"), *react_to_nothing[1:]])
    assert [refused(outcome) for outcome in outcomes] == [
        *(ErrorCode.MESSAGE_NOT_FOUND, None),
        *(ErrorCode.MESSAGE_NOT_FOUND, ErrorCode.MESSAGE_NOT_FOUND),
    ]
    assert list(Channel.objects.filter(name__in=names).values_list("name", flat=True)) == [names[1]]
    assert refused(commit([react(names[1], new_id())])[0]) is ErrorCode.MESSAGE_NOT_FOUND
    assert data_of(names[1]) == ["1"]


@dataclass
class Outage:
    """From the next COMMIT on, which breaks, there is no connection for so many `looks`."""

    looks: int
    goes_on: bool = True

    def begin(self, monkeypatch: pytest.MonkeyPatch, *, sent: bool) -> None:
        breaking = broken_commit(sent=sent)

        def break_and_stay_away(transaction: Transaction, sql: str, parameters: Any = ()) -> Any:
            if sql == "COMMIT":
                self._stay_away(monkeypatch)
            return breaking(transaction, sql, parameters)

        monkeypatch.setattr(Transaction, "execute", break_and_stay_away)

    def _stay_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cursor = writers._cursor

        def away() -> Any:
            if self.looks > 0:
                raise DatabaseUnavailable
            return cursor()

        monkeypatch.setattr(writers, "_cursor", away)

    def on_outage(self) -> bool:
        self.looks -= 1
        return self.goes_on


@pytest.mark.usefixtures("postgres_default")
@pytest.mark.parametrize("sent", [True, False])
def test_the_fate_of_a_commit_is_awaited_for_as_long_as_the_database_is_away(
    channel: str, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    outage = Outage(looks=5)
    with monkeypatch.context() as patch:
        outage.begin(patch, sent=sent)
        [outcome] = commit([store(channel, "1")], outage.on_outage)
    assert outage.looks == 0
    assert data_of(channel) == (["1"] if sent else [])
    assert refused(outcome) is (None if sent else ErrorCode.SERVICE_UNAVAILABLE)


@pytest.mark.usefixtures("postgres_default")
def test_a_writer_that_ends_waits_for_no_database(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage(looks=1000, goes_on=False)
    with monkeypatch.context() as patch:
        outage.begin(patch, sent=True)
        [outcome] = commit([store(channel, "1")], outage.on_outage)
    assert refused(outcome) is ErrorCode.SERVICE_UNAVAILABLE
    assert outage.looks == 999
