"""Which moment an expression means (protocol.md section 13)."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.protocol.errors import ErrorCode, ProtocolError
from chat.protocol.schedule import instant, permit


def refused(expression: str, timezone: str | None) -> None:
    with pytest.raises(ProtocolError) as raised:
        instant(expression, timezone)
    assert raised.value.code is ErrorCode.INVALID_SCHEDULE_EXPRESSION


@pytest.mark.parametrize(
    ("wall", "timezone", "utc"),
    [
        ("2026-07-24T14:30:00", None, "2026-07-24T14:30:00"),
        ("2026-07-24T14:30:00", "UTC", "2026-07-24T14:30:00"),
        ("2026-07-24T14:30:00", "Europe/Paris", "2026-07-24T12:30:00"),
        ("2026-01-24T14:30:00", "Europe/Paris", "2026-01-24T13:30:00"),
        ("2026-07-24T14:30:00", "Asia/Kathmandu", "2026-07-24T08:45:00"),
        ("2026-07-24T14:30:00", "US/Eastern", "2026-07-24T18:30:00"),
        ("2028-02-29T00:00:00", "Pacific/Kiritimati", "2028-02-28T10:00:00"),
        # exists twice: the earlier
        ("2026-10-25T02:30:00", "Europe/Paris", "2026-10-25T00:30:00"),
        ("2026-11-01T01:30:00", "America/New_York", "2026-11-01T05:30:00"),
        ("2026-04-05T01:45:00", "Australia/Lord_Howe", "2026-04-04T14:45:00"),
        # beside a gap
        ("2026-03-29T01:59:59", "Europe/Paris", "2026-03-29T00:59:59"),
        ("2026-03-29T03:00:00", "Europe/Paris", "2026-03-29T01:00:00"),
        ("2011-12-31T00:00:00", "Pacific/Apia", "2011-12-30T10:00:00"),
        ("9999-12-31T23:59:59", None, "9999-12-31T23:59:59"),
    ],
)
def test_a_wall_clock_time_is_a_moment(wall: str, timezone: str | None, utc: str) -> None:
    assert instant(f"at({wall})", timezone) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("wall", "timezone"),
    [
        ("2026-03-29T02:00:00", "Europe/Paris"),
        ("2026-03-29T02:59:59", "Europe/Paris"),
        ("2026-03-08T02:30:00", "America/New_York"),
        ("2026-10-04T02:15:00", "Australia/Lord_Howe"),  # half an hour
        ("2011-12-30T12:00:00", "Pacific/Apia"),  # a whole day
    ],
)
def test_a_time_that_does_not_exist_is_refused(wall: str, timezone: str) -> None:
    refused(f"at({wall})", timezone)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "at()",
        "at(2026-07-24)",
        "at(2026-07-24T14:30)",
        "at(2026-07-24 14:30:00)",
        "at(2026-07-24T14:30:00Z)",
        "at(2026-07-24T14:30:00+02:00)",
        "at(2026-07-24T14:30:00.5)",
        "at(2026-7-24T14:30:00)",
        "at(2026-02-29T00:00:00)",
        "at(2026-13-01T00:00:00)",
        "at(2026-07-24T24:00:00)",
        "at(2026-07-24T23:60:00)",
        "at(2026-07-24T23:59:60)",
        "at(0000-01-01T00:00:00)",
        "at(+2026-07-24T14:30:00)",
        "at(20260724T143000)",
        "at(2026-W30-5T14:30:00)",
        "AT(2026-07-24T14:30:00)",
        "at(2026-07-24T14:30:00",
        " at(2026-07-24T14:30:00)",
        "at(2026-07-24T14:30:00)\n",
        "at(٢٠٢٦-07-24T14:30:00)",
        "rate(5 minutes)",
        "cron(0 10 * * ? *)",
        "at(2026-07-24T14:30:00)" * 1000,
    ],
)
def test_any_other_expression_is_refused(expression: str) -> None:
    refused(expression, None)


@pytest.mark.parametrize(
    "timezone",
    [
        *("", " ", "Europe/Atlantis", "europe/paris", "+02:00", "CEST", "local", "localtime"),
        *("../../../etc/passwd", "/etc/localtime", "posixrules", "tzdata.zi", "Europe", "Europe/"),
        *("UTC\n", "UTC ", "Europe\\Paris", "\U0001f600", "a" * 100_000),
    ],
)
def test_any_other_time_zone_is_refused(timezone: str) -> None:
    refused("at(2026-07-24T14:30:00)", timezone)


def test_beside_the_calendar_there_is_no_time() -> None:
    refused("at(0001-01-01T00:00:00)", "Asia/Tokyo")
    refused("at(9999-12-31T23:59:59)", "America/New_York")


@given(
    st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1)),
    st.sampled_from(sorted(available_timezones() - {"localtime"})),
)
def test_in_any_zone_it_is_the_first_moment_with_that_wall_clock(
    wall: datetime, timezone: str
) -> None:
    wall = wall.replace(microsecond=0)
    zone = ZoneInfo(timezone)
    moments = sorted(
        moment
        for fold in (0, 1)
        for moment in [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)]
        if moment.astimezone(zone).replace(tzinfo=None, fold=0) == wall
    )
    expression = f"at({wall.isoformat()})"
    if moments:
        assert instant(expression, timezone) == moments[0]
    else:
        refused(expression, timezone)


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_comes_is_refused_or_a_moment(expression: str, timezone: str) -> None:
    refused(expression, timezone)
    refused(f"at({expression})", "UTC")


def test_whoever_may_schedule_for_a_time_may_for_all_before() -> None:
    moment = datetime(2026, 7, 24, tzinfo=UTC)
    for before in (moment.timestamp(), moment.timestamp() + 0.5):
        permit(moment, before)
    for too_early in (None, 0.0, moment.timestamp() - 0.5):
        with pytest.raises(ProtocolError) as raised:
            permit(moment, too_early)
        assert raised.value.code is ErrorCode.SCHEDULE_PERMISSION_DENIED
