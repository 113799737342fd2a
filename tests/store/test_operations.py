"""What each write does to the rows: order, numbers, reactions, tokens (P2; protocol.md 2, 3, 9)."""

import itertools
import json
import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.transaction import atomic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.cluster.leases import RenewLease
from chat.models import Channel, Connection, Deletion, Message, Reaction, Subscription
from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.ids import new_id as ulid
from chat.store import transaction as transactions
from chat.store import writer
from chat.store.operations.connections import CloseConnection, Unsubscribe
from chat.store.operations.messages import PublishMessage
from chat.store.operations.removal import DeleteMessage, RemoveMessages
from chat.store.transaction import Cursor, Transaction
from chat.store.writer import commit
from tests.support.written import do, new_id, node, opening, react, single_use, store, subscribing
from tokens.models import UsedToken


def code(outcome: Any) -> ErrorCode | None:
    return outcome.code if isinstance(outcome, ProtocolError) else None


# --- messages --------------------------------------------------------------------------------


def test_a_message_is_stored_as_it_was_sent(database: str, channel: str) -> None:
    data = ' {"b":1e400, "a" : "\\u00e9😀"}'
    operation = PublishMessage(channel, "chat", data.encode(), "jim", '{"a":1}', b"{}", 60)
    before = datetime.now(UTC)
    (id,) = do(operation)
    row = Message.objects.get(id=id)
    assert (row.data, row.uid, row.umd, row.event) == (data, "jim", '{"a":1}', "chat")
    assert row.expires_at is not None
    assert abs(row.expires_at - before - timedelta(seconds=60)) < timedelta(seconds=5)
    assert not row.by_server


def test_a_message_of_the_server_has_no_sender(database: str, channel: str) -> None:
    (id,) = do(PublishMessage(channel, "chat", b"1", None, "null", None, -1))
    row = Message.objects.get(id=id)
    assert (row.by_server, row.uid, row.expires_at) == (True, None, None)


@pytest.mark.parametrize(
    ("seconds", "kept", "outlived"), [(60, 60, False), (-1, 604_800, True), (10**6, 604_800, True)]
)
def test_a_deletion_is_marked_as_long_as_its_message_would_stay_and_seven_days_at_most(
    database: str, channel: str, seconds: int, kept: int, outlived: bool
) -> None:
    (id,) = do(store(channel, seconds=seconds))
    do(DeleteMessage(channel, id))
    mark = Deletion.objects.get(message_id=id)
    left = (mark.expires_at - datetime.now(UTC)).total_seconds()
    assert (mark.channel.name, mark.number, mark.outlived) == (channel, 2, outlived)
    assert abs(left - kept) < 30


def test_a_reaction_and_a_deletion_in_one_transaction(
    database: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before it goes, too, and the one behind it finds nothing; nothing is retried."""
    monkeypatch.delattr(writer, "_commit_each")
    (id,) = do(store(channel))
    operations = react(channel, id), DeleteMessage(channel, id), react(channel, id, "👎")
    codes = [code(outcome) for outcome in commit([*operations, store(channel)])]
    assert codes == [None, None, ErrorCode.MESSAGE_NOT_FOUND, None]
    assert [each.change and each.change.number for each in operations] == [2, 3, None]
    assert not Reaction.objects.filter(message_id=id).exists()
    assert Channel.objects.get(name=channel).number == 4


def test_many_deletions_are_two_queries(
    database: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = do(*(store(channel) for _ in range(20)))
    do(*(react(channel, id) for id in ids))
    sent: list[str] = []
    execute = Transaction.execute

    def counted(self: Transaction, sql: str, parameters: Sequence[object] = ()) -> Cursor:
        sent.append(sql)
        return execute(self, sql, parameters)

    monkeypatch.setattr(Transaction, "execute", counted)
    removal = RemoveMessages((channel,), tuple(ids[:15]))
    assert do(removal) == [15]
    assert len([sql for sql in sent if "chat_message" in sql or "chat_reaction" in sql]) == 2
    assert [each.number for each in removal.announced] == [*range(41, 56)]
    assert Message.objects.filter(channel__name=channel).count() == 5
    assert Reaction.objects.filter(channel__name=channel).count() == 5


def test_the_longest_store_is_a_hundred_years(database: str, channel: str) -> None:
    (id,) = do(store(channel, seconds=3_155_695_200))
    expires_at = Message.objects.get(id=id).expires_at
    assert expires_at is not None
    assert expires_at.year == datetime.now(UTC).year + 100


@pytest.mark.parametrize("together", [True, False])
def test_numbers_follow_one_another_and_ids_increase(
    database: str, channel: str, together: bool
) -> None:
    operations = [store(channel, str(at)) for at in range(20)]
    if together:
        do(*operations)
    else:
        for operation in operations:
            do(operation)
    changes = [operation.change for operation in operations if operation.change]
    assert [(change.previous, change.number) for change in changes] == [
        (at, at + 1) for at in range(20)
    ]
    rows = list(Message.objects.filter(channel__name=channel).order_by("number"))
    assert [row.data for row in rows] == [str(at) for at in range(20)]
    assert all(one.id < other.id for one, other in itertools.pairwise(rows))
    assert Channel.objects.get(name=channel).last_message_id == rows[-1].id


def test_ids_go_on_where_the_clock_goes_back(
    database: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = do(store(channel))
    read_clock = transactions.Transaction._read_clock

    def an_hour_ago(transaction: transactions.Transaction) -> None:
        read_clock(transaction)
        transaction.ms -= 3_600_000

    monkeypatch.setattr(transactions.Transaction, "_read_clock", an_hour_ago)
    (second,) = do(store(channel))
    assert first < second


# --- many writers ----------------------------------------------------------------------------


def connect() -> None:
    """However long that takes on a busy machine: a server's pool waits 2 s."""
    for _ in range(30):
        try:
            connection.ensure_connection()
        except OperationalError:
            connection.close()
        else:
            break


def at_once(jobs: list[Callable[[], Any]]) -> None:
    """Each in a thread with a database connection of its own, all from one moment on."""
    barrier, errors = threading.Barrier(len(jobs)), []

    def run(job: Callable[[], Any]) -> None:
        try:
            connect()
            barrier.wait(60)
            job()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


def written_by_many(channels: list[str], writers: int, batches: int) -> list[str]:
    """The ids that the writers got, of messages in batches over all channels."""
    ids: list[str] = []

    def write() -> None:
        for _ in range(batches):
            ids.extend(do(*(store(name) for name in channels * 3)))

    at_once([write] * writers)
    return ids


@pytest.mark.usefixtures("postgres_default")
def test_many_writers_keep_one_order_for_each_channel(channel: str) -> None:
    channels = [f"{channel}-{letter}" for letter in "dabc"]
    ids = written_by_many(channels, writers=4, batches=15)
    assert len(set(ids)) == 4 * 15 * 12
    for name in channels:
        rows = list(Message.objects.filter(channel__name=name).order_by("number"))
        assert [row.number for row in rows] == list(range(1, 4 * 15 * 3 + 1))
        assert all(one.id < other.id for one, other in itertools.pairwise(rows))


@pytest.mark.usefixtures("postgres_default")
def test_whoever_reads_on_from_the_last_id_misses_nothing(channel: str) -> None:
    """protocol.md section 2: ids increase in the order in which the messages become visible."""
    do(store(channel))
    seen: list[str] = [""]
    done = threading.Event()

    def read_on() -> None:
        while True:
            last_round = done.is_set()
            rows = Message.objects.filter(channel__name=channel).after(seen[-1]).order_by("id")
            seen.extend(rows.values_list("id", flat=True))
            if last_round:
                break

    def write() -> None:
        for _ in range(40):
            do(store(channel), store(channel))
        finished.wait(30)
        done.set()

    finished = threading.Barrier(4)
    at_once([read_on, *[write] * 4])
    assert len(seen) == 1 + 1 + 4 * 40 * 2


@pytest.mark.usefixtures("postgres_default")
def test_new_channels_of_many_writers_hold_nobody_up(channel: str) -> None:
    def write(names: list[str]) -> Callable[[], Any]:
        return lambda: [do(*(store(name) for name in names[at : at + 5])) for at in range(0, 30, 5)]

    names = [f"{channel}-{at:02}" for at in range(30)]
    at_once([write(names), write(names[::-1]), write(names[1::2] + names[::2])])
    rows = Channel.objects.filter(name__in=names)
    assert [row.number for row in rows] == [3] * 30


# --- reactions -------------------------------------------------------------------------------


@pytest.fixture
def messages(database: str, channel: str) -> list[str]:
    return do(store(channel), store(channel))


def standing(channel: str) -> set[tuple[str, str, str]]:
    rows = Reaction.objects.standing().filter(channel__name=channel)
    return set(rows.values_list("message_id", "uid", "reaction"))


def test_toggling_within_one_batch_ends_right(channel: str, messages: list[str]) -> None:
    actions = ["add", "add", "remove", "add", "remove", "remove", "add"]
    operations = [react(channel, messages[0], action=action) for action in actions]
    do(*operations)
    changes = [operation.change for operation in operations]
    assert [change is not None for change in changes] == [
        *(True, False, True, True, True, False, True),
    ]
    announced = [change for change in changes if change]
    assert [(change.previous, change.number) for change in announced] == [
        (2, 3),
        (3, 4),
        (4, 5),
        (5, 6),
        (6, 7),
    ]
    frames = [json.loads(change.event.payload) for change in announced]
    actions = [frame["data"]["action"] for frame in frames]
    assert actions == ["add", "remove", "add", "remove", "add"]
    row = Reaction.objects.get(message_id=messages[0])
    assert (row.removed, row.number) == (False, 7)
    assert Channel.objects.get(name=channel).number == 7


toggles = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["jim", "pam", "Jim"]),
        st.sampled_from(["👍", "👎"]),
        st.sampled_from(["add", "remove"]),
        st.booleans(),  # whether a batch ends here
    ),
    max_size=25,
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
)
@given(toggles=toggles)
def test_reactions_end_as_a_set_would(database: str, channel: str, toggles: Any) -> None:
    name = f"{channel}-{new_id()}"
    messages = do(store(name), store(name))
    expected, numbers = set[Any](), [2]
    batch: list[Any] = []
    for at, (message, uid, reaction, action, ends) in enumerate(toggles):
        batch.append(react(name, messages[message], reaction, action, uid))
        if ends or at == len(toggles) - 1:
            do(*batch)
            for operation in batch:
                key = (operation.message_id, operation.uid, operation.reaction)
                adds = operation.action == "add"
                assert (operation.change is not None) is (adds is (key not in expected))
                if operation.change:
                    expected ^= {key}
                    numbers.append(operation.change.number)
            batch = []
    assert standing(name) == expected
    assert numbers == list(range(2, 2 + len(numbers)))


@pytest.mark.usefixtures("postgres_default")
def test_many_who_react_at_once_are_each_counted_once(channel: str) -> None:
    (message,) = do(store(channel))
    announced: list[int] = []

    def toggle() -> None:
        for action in ("add", "remove", "add"):
            operations = [react(channel, message, action=action, uid=f"u{at}") for at in range(5)]
            do(*operations)
            announced.extend(one.change.number for one in operations if one.change)

    at_once([toggle] * 4)
    assert standing(channel) == {(message, f"u{at}", "👍") for at in range(5)}
    assert sorted(announced) == list(range(2, Channel.objects.get(name=channel).number + 1))


def test_a_reaction_to_what_is_not_there_is_refused(channel: str, messages: list[str]) -> None:
    do(store(f"{channel}-other"))
    elsewhere = Message.objects.get(channel__name=f"{channel}-other").id
    expired = messages[1]
    Message.objects.filter(id=expired).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    absent = [elsewhere, expired, ulid(0), "", "x" * 1000]
    outcomes = commit([*(react(channel, id) for id in absent), react(channel, messages[0])])
    assert [code(outcome) for outcome in outcomes] == [*[ErrorCode.MESSAGE_NOT_FOUND] * 5, None]
    assert standing(channel) == {(messages[0], "jim", "👍")}


# --- connections and subscriptions -----------------------------------------------------------


@pytest.fixture
def process(database: str) -> str:
    row = node()
    do(row)
    return row.id


def test_a_connection_ends_at_its_maximum_age(process: str) -> None:
    operation = opening(process, max_seconds=7200)
    (expires_at,) = do(operation)
    row = Connection.objects.get(id=operation.id)
    assert row.expires_at == expires_at
    assert row.expires_at - row.connected_at == timedelta(hours=2)


def test_a_subscription_is_told_where_the_channel_stood(process: str, channel: str) -> None:
    connections = [opening(process) for _ in range(3)]
    do(*connections)
    one, other, third = (subscribing(each.id, channel) for each in connections)
    assert do(one) == [("", 0)]
    (id,) = do(store(channel))
    (later, _, last) = do(other, store(channel), third)
    assert later == (id, 1)
    assert last == (
        max(Message.objects.filter(channel__name=channel).values_list("id", flat=True)),
        2,
    )
    rows = Subscription.objects.filter(channel__name=channel)
    assert set(rows.values_list("connection_id", "head_id")) == {
        (one.connection_id, ""),
        (other.connection_id, later[0]),
        (third.connection_id, last[0]),
    }


def test_unsubscribing_ends_that_subscription_alone(process: str, channel: str) -> None:
    connection_row = opening(process)
    do(connection_row)
    do(*(subscribing(connection_row.id, name) for name in (channel, f"{channel}-other")))
    do(Unsubscribe(connection_row.id, channel), Unsubscribe(connection_row.id, "unknown"))
    rows = Subscription.objects.filter(connection_id=connection_row.id)
    assert [row.channel.name for row in rows] == [f"{channel}-other"]


@pytest.mark.parametrize("together", [True, False])
def test_a_connection_that_closes_leaves_no_row(process: str, channel: str, together: bool) -> None:
    """Also where it opens, subscribes and closes in one batch: its client left at once."""
    other = opening(process)
    do(other)
    row = opening(process)
    steps = [row, subscribing(row.id, channel), subscribing(other.id, channel)]
    steps.append(CloseConnection(row.id))
    if together:
        do(*steps)
    else:
        for step in steps:
            do(step)
    assert [each.id for each in Connection.objects.filter(node_id=process)] == [other.id]
    left = Subscription.objects.filter(channel__name=channel)
    assert [each.connection_id for each in left] == [other.id]


def test_closing_what_is_not_there_changes_nothing(database: str) -> None:
    assert do(CloseConnection(new_id())) == [None]


def test_a_network_has_so_many_on_nodes_that_live(process: str) -> None:
    other, gone = node(), node()
    do(other, gone)
    network = f"2001:db8:{secrets.randbelow(65536):x}:{secrets.randbelow(65536):x}"
    at = itertools.count(1)

    def opened(*nodes: str, limit: int = 3) -> list[ErrorCode | None]:
        rows = [opening(id, address=f"{network}::{next(at)}", limit=limit) for id in nodes]
        return [code(outcome) for outcome in commit(rows)]

    assert opened(process, other.id, gone.id, gone.id) == [None, None, None, ErrorCode.RATE_LIMITED]
    assert opened(process, limit=0) == [None]  # that one is not counted
    do(RenewLease(gone.id, -1))
    assert opened(other.id, other.id) == [None, ErrorCode.RATE_LIMITED]
    do(opening(process, address="192.0.2.1", limit=3))
    do(CloseConnection(Connection.objects.filter(node_id=other.id).values_list("id")[0][0]))
    assert opened(process, process) == [None, ErrorCode.RATE_LIMITED]


def test_who_is_one_too_many_has_not_used_the_token(process: str) -> None:
    address, token = f"host-{new_id()}", single_use(new_id())
    do(opening(process, address=address, limit=1))
    (outcome,) = commit([opening(process, address=address, limit=1, single_use=token)])
    assert code(outcome) is ErrorCode.RATE_LIMITED
    do(opening(process, single_use=token))


@pytest.mark.usefixtures("postgres_default")
def test_several_processes_together_let_in_no_more_of_a_network() -> None:
    process, addresses, held = node(), [f"host-{new_id()}" for _ in range(2)], Counter[str]()
    do(process)

    def open_many() -> None:
        for at in range(40):
            rows = [opening(process.id, address=addresses[(at + i) % 2], limit=9) for i in (0, 1)]
            for row, outcome in zip(rows, commit(rows), strict=True):
                assert code(outcome) in (None, ErrorCode.RATE_LIMITED)
                held[row.address] += code(outcome) is None

    at_once([open_many] * 4)
    assert held == dict.fromkeys(addresses, 9)


# --- single-use tokens -------------------------------------------------------------------------


def test_a_token_is_used_once(process: str, channel: str) -> None:
    digest = new_id()
    first, second = (opening(process, single_use=single_use(digest)) for _ in range(2))
    assert [code(outcome) for outcome in commit([first])] == [None]
    assert [code(outcome) for outcome in commit([second])] == [ErrorCode.INVALID_SUBSCRIBE_TOKEN]
    assert not Connection.objects.filter(id=second.id).exists()
    subscribe = subscribing(first.id, channel, single_use=single_use(digest))
    assert [code(outcome) for outcome in commit([subscribe])] == [ErrorCode.INVALID_SUBSCRIBE_TOKEN]
    assert not Subscription.objects.filter(channel__name=channel).exists()


def test_of_two_uses_in_one_batch_the_first_wins(process: str) -> None:
    digest = new_id()
    operations = [opening(process, single_use=single_use(digest)) for _ in range(3)]
    outcomes = commit(operations)
    assert [code(outcome) for outcome in outcomes] == [
        None,
        ErrorCode.INVALID_SUBSCRIBE_TOKEN,
        ErrorCode.INVALID_SUBSCRIBE_TOKEN,
    ]


def test_a_use_is_remembered_no_longer_than_its_token(process: str) -> None:
    digest = new_id()
    UsedToken.objects.create(id=digest, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    do(opening(process, single_use=single_use(digest, 300)))
    assert UsedToken.objects.get(id=digest).expires_at > datetime.now(UTC)


def test_a_token_that_expired_by_the_databases_clock_is_not_used(process: str) -> None:
    (outcome,) = commit([opening(process, single_use=single_use(new_id(), -1))])
    assert code(outcome) is ErrorCode.INVALID_SUBSCRIBE_TOKEN


@pytest.mark.usefixtures("postgres_default")
def test_of_simultaneous_uses_in_several_processes_exactly_one_wins(channel: str) -> None:
    process = node()
    do(process)
    winners: dict[str, list[str]] = defaultdict(list)
    digests = [new_id() for _ in range(15)]

    def use() -> None:
        for digest in digests:
            operation = opening(process.id, single_use=single_use(digest))
            batch = [store(f"{channel}-{threading.get_ident()}"), operation]
            message, outcome = commit(batch)
            assert isinstance(message, str)  # the others of the batch are none the worse
            assert code(outcome) in (None, ErrorCode.INVALID_SUBSCRIBE_TOKEN)
            if code(outcome) is None:
                winners[digest].append(operation.id)

    at_once([use] * 4)
    assert {digest: len(winners[digest]) for digest in digests} == dict.fromkeys(digests, 1)
    ids = Connection.objects.filter(node_id=process.id).values_list("id", flat=True)
    assert sorted(ids) == sorted(id for each in winners.values() for id in each)


@pytest.mark.usefixtures("postgres_default")
def test_one_that_is_too_late_by_a_moment_is_told_that_the_token_was_used(
    postgres_database: str,
) -> None:
    """In a batch of one it cannot be retried: it must wait for the first one's commit."""
    process, digest, outcomes = node(), new_id(), []
    do(process)
    late = opening(process.id, single_use=single_use(digest))

    def use() -> None:
        outcomes.extend(commit([late]))
        connection.close()

    thread = threading.Thread(target=use)
    with atomic():
        UsedToken.objects.create(id=digest, expires_at=datetime.now(UTC) + timedelta(hours=1))
        thread.start()
        until_one_waits_for_a_lock(postgres_database)
    thread.join()
    assert [code(outcome) for outcome in outcomes] == [ErrorCode.INVALID_SUBSCRIBE_TOKEN]


def until_one_waits_for_a_lock(database: str) -> None:
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    deadline = time.monotonic() + 10
    with psycopg.connect(database, autocommit=True) as other:
        while other.execute(waiting).fetchone() is None:
            assert time.monotonic() < deadline
