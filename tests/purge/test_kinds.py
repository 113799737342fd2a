"""What goes, and what stays: each kind of row at its bounds, and a property over all of them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.models import (
    Acknowledgement,
    AuditEntry,
    Channel,
    Deduplication,
    Deletion,
    Member,
    Reaction,
    Restriction,
    StorageEntry,
)
from chat.purge import Database, count_due, purge, unused
from tests.purge import rows
from tests.purge.rows import DAY, HOUR, MINUTE, NOTHING, SECOND, Survivors, ago, survivors

pytestmark = pytest.mark.usefixtures("url")

MARGIN = 30 * SECOND  # how long a test may take before its rows reach their bound


def test_messages_go_a_minute_after_they_expired_with_all_reactions_to_them() -> None:
    channel = rows.channel()
    gone, kept, live, kept_for_ever = rows.messages(
        channel, [ago(MINUTE + SECOND), ago(MARGIN), ago(-DAY), None], reactions=3
    )
    report = purge()
    left = survivors()
    assert left.messages == {kept.id, live.id, kept_for_ever.id}
    assert gone.id not in left.messages
    assert len(left.reactions) == 9
    assert report.removed == NOTHING | {"messages": 1, "reactions": 3}


def test_marks_of_deleted_messages_go_a_minute_after_their_time() -> None:
    """Of those that their messages would have outlived, the channel remembers the last."""
    channel, other = rows.channel(), rows.channel()
    rows.deletion(other, ago(MINUTE + SECOND))
    last = [rows.deletion(channel, ago(DAY), outlived=True).number for _ in range(3)][-1]
    rows.deletion(channel, ago(DAY))
    kept = rows.deletion(channel, ago(MARGIN), outlived=True)
    assert purge().removed == NOTHING | {"deletions": 5}
    assert list(Deletion.objects.all()) == [kept]
    for row in (channel, other):
        row.refresh_from_db()
    assert (channel.forgotten, other.forgotten) == (last, 0)


def test_storage_entries_go_a_day_after_they_expired_or_were_cleared() -> None:
    """The channel remembers the last. Not before their expiry has been reported, where it is to
    be."""
    channel, other = rows.channel(), rows.channel()
    gone = rows.storage_entry(channel, ago(DAY + SECOND))
    rows.storage_entry(other, ago(HOUR))
    kept = {
        rows.storage_entry(channel, ago(MARGIN)).id,
        rows.storage_entry(channel, None).id,
        rows.storage_entry(channel, ago(2 * DAY), reports_expiry=True).id,
    }
    assert purge().removed == NOTHING | {"storage_entries": 1}
    entries = StorageEntry.objects.filter(channel=channel)
    assert set(entries.values_list("id", flat=True)) == kept
    for row in (channel, other):
        row.refresh_from_db()
    assert (channel.forgotten, other.forgotten) == (gone.number, 0)


def test_marks_of_members_go_a_minute_after_they_left() -> None:
    channel = rows.channel(ago(30 * DAY))
    rows.member(channel, ago(MINUTE + SECOND))
    kept = {
        rows.member(channel, ago(MARGIN)).id,
        rows.member(channel, ago(30 * DAY), removed=False).id,
    }
    assert purge().removed == NOTHING | {"former_members": 1}
    assert set(Member.objects.values_list("id", flat=True)) == kept


def test_what_was_published_under_a_deduplication_id_is_forgotten_in_time() -> None:
    channel = rows.channel()
    rows.deduplication(channel, ago(SECOND))
    kept = rows.deduplication(channel, ago(-MARGIN))
    assert purge().removed == NOTHING | {"deduplications": 1}
    assert Deduplication.objects.get().id == kept.id


def test_what_was_acknowledged_is_forgotten_in_time() -> None:
    channel = rows.channel()
    rows.acknowledgement(channel, ago(SECOND))
    kept = rows.acknowledgement(channel, ago(-MARGIN))
    assert purge().removed == NOTHING | {"acknowledgements": 1}
    assert Acknowledgement.objects.get().id == kept.id


def test_the_audit_log_is_kept_for_as_long_as_is_set() -> None:
    rows.audit_entry(ago(365 * DAY + SECOND))
    kept = rows.audit_entry(ago(365 * DAY - MARGIN))
    assert purge().removed == NOTHING | {"audit_entries": 1}
    assert AuditEntry.objects.get().id == kept.id


def test_restrictions_go_a_day_after_their_end_but_the_last_change_stays() -> None:
    rows.restriction(ago(DAY + SECOND))
    kept = [rows.restriction(ago(DAY - MARGIN)), rows.restriction(None)]
    kept.append(rows.restriction(ago(DAY + SECOND)))  # its number is the highest
    assert purge().removed == NOTHING | {"restrictions": 1}
    assert [*Restriction.objects.order_by("id")] == kept


def test_used_tokens_go_when_their_token_can_no_longer_be_used() -> None:
    rows.used_token(ago(SECOND))
    usable = rows.used_token(ago(-MARGIN))
    assert purge().removed["used_tokens"] == 1
    assert survivors().used_tokens == {usable.id}


def test_channels_go_when_nothing_has_changed_in_them_for_a_week() -> None:
    rows.channel(ago(7 * DAY + SECOND))
    recent = rows.channel(ago(7 * DAY - MARGIN))
    assert purge().removed["channels"] == 1
    assert survivors().channels == {recent.id}


def test_channels_stay_while_anything_refers_to_them() -> None:
    with_message, with_subscription = rows.channel(ago(30 * DAY)), rows.channel(ago(30 * DAY))
    rows.messages(with_message, [None], reactions=0)
    rows.subscription(with_subscription)
    assert purge().removed["channels"] == 0
    assert survivors().channels == {with_message.id, with_subscription.id}


def test_whatever_table_refers_to_channels_keeps_them() -> None:
    referring = {
        model._meta.db_table
        for model in apps.get_models()
        if any(field.related_model is Channel for field in model._meta.concrete_fields)
    }
    assert {"chat_message", "chat_reaction", "chat_subscription"} <= referring
    assert set(re.findall(r"FROM (\w+)", unused(Channel))) == referring


def test_a_channel_goes_in_the_run_in_which_its_last_message_went() -> None:
    rows.messages(rows.channel(ago(30 * DAY)), [ago(29 * DAY)])
    assert purge().removed == NOTHING | {"messages": 1, "reactions": 1, "channels": 1}
    assert not Channel.objects.exists()


def test_all_channels_are_walked_past_however_many_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.purge.WINDOW", 3)
    idle = [rows.channel(ago((8 if n % 4 == 3 else 1) * DAY)) for n in range(20)]
    assert purge().removed["channels"] == 5
    assert survivors().channels == {channel.id for n, channel in enumerate(idle) if n % 4 != 3}


def test_the_database_s_clock_decides(url: str) -> None:
    with Database() as database:
        before = timezone.now()
        now = database.now()
        [[theirs]] = database.select("SELECT CURRENT_TIMESTAMP")
    theirs = theirs if isinstance(theirs, datetime) else datetime.fromisoformat(f"{theirs}+00:00")
    assert abs(now - theirs) < timedelta(seconds=2)
    assert now >= before - SECOND


# --- a property ---------------------------------------------------------------------------------

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
# Stores, seen from after the fact: for ever, or at an expiry so many seconds before now. Around
# the bounds to the microsecond, and as far as `store` reaches (protocol.md section 2).
MICROSECOND = timedelta(microseconds=1)
BOUNDS = [
    bound + nudge * MICROSECOND for bound in (0 * DAY, MINUTE, 7 * DAY) for nudge in (-1, 0, 1)
]
AGES = st.one_of(
    st.sampled_from(BOUNDS),
    st.timedeltas(-3155695200 * SECOND, 365 * DAY),
    st.timedeltas(-3 * MINUTE, 3 * MINUTE),
)
CHANNELS = st.lists(
    st.fixed_dictionaries(
        {
            "idle": AGES,
            "subscribed": st.booleans(),
            "messages": st.lists(st.tuples(st.none() | AGES, st.integers(0, 3)), max_size=4),
        }
    ),
    max_size=4,
)


TOKENS = st.lists(AGES, max_size=4)

Layout = list[dict[str, Any]]


def lay_out(now: datetime, layout: Layout, tokens: list[timedelta]) -> Survivors:
    """Stores what was drawn, and gives what is to stay."""
    stay = Survivors(set(), set(), set(), set())
    for drawn in layout:
        channel = rows.channel(now - drawn["idle"])
        expiries = [None if age is None else now - age for age, _ in drawn["messages"]]
        stored = [
            message
            for expiry, (_, reactions) in zip(expiries, drawn["messages"], strict=True)
            for message in rows.messages(channel, [expiry], reactions=reactions)
        ]
        if drawn["subscribed"]:
            rows.subscription(channel)
        living = {
            row.id for row in stored if not (row.expires_at and row.expires_at < now - MINUTE)
        }
        stay.messages.update(living)
        stay.reactions.update(
            Reaction.objects.filter(message_id__in=living).values_list("id", flat=True)
        )
        if living or drawn["subscribed"] or drawn["idle"] <= 7 * DAY:
            stay.channels.add(channel.id)
    for age in tokens:
        token = rows.used_token(now - age)
        if age <= timedelta(0):
            stay.used_tokens.add(token.id)
    return stay


def check(now: datetime, layout: Layout, tokens: list[timedelta], batch_size: int) -> None:
    """With these rows and at this time, exactly what is due goes."""
    with transaction.atomic():
        rows.clear()
        stay = lay_out(now, layout, tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "now", lambda database: now)
        due = count_due().left
        report = purge(batch_size=batch_size)
    assert survivors() == stay
    # A channel that the purge itself emptied was not due before.
    assert report.removed.pop("channels") >= due.pop("channels")
    assert report.removed == due
    assert not any(report.left.values())


def property_of(examples: int) -> Callable[..., None]:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )(given(MOMENTS, CHANNELS, TOKENS, st.integers(1, 5))(check))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_live_rows_are_never_touched() -> None:
    property_of(examples=150)()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_live_rows_are_never_touched_on_postgresql() -> None:
    property_of(examples=25)()
