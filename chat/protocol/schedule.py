"""`at(2026-07-24T14:30:00)` in a time zone -> a moment (protocol.md section 13). No clock here.

The zones are those of the system or, where it has none, of the package tzdata.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from .errors import ErrorCode, ProtocolError

_DAY: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME: Final = "(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}"  # Python 3.14 would take 24:00:00, too
_AT: Final = re.compile(rf"at\(({_DAY}T{_TIME})\)")


def instant(expression: str, timezone: str | None) -> datetime:
    """The moment in UTC that an expression means in an IANA time zone, by default UTC.

    One that exists twice there is the earlier. Raises INVALID_SCHEDULE_EXPRESSION, also where it
    does not exist; whether it lies ahead is for whoever knows the time.
    """
    matched = _AT.fullmatch(expression)
    if matched is None:
        raise invalid("scheduleExpression must have the form at(YYYY-MM-DDThh:mm:ss).")
    name = "UTC" if timezone is None else timezone
    if name not in _zones():
        raise invalid("scheduleExpressionTimezone must be an IANA time zone, such as Europe/Paris.")
    zone = ZoneInfo(name)
    try:
        wall = datetime.fromisoformat(matched[1])
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        exists = moment.astimezone(zone).replace(tzinfo=None, fold=0) == wall
    except (ValueError, OverflowError):
        raise invalid("scheduleExpression names no day and time of the calendar.") from None
    if not exists:
        raise invalid("scheduleExpression names a time that does not exist in its time zone.")
    return moment


def permit(at: datetime, before: float | None) -> None:
    """Raises SCHEDULE_PERMISSION_DENIED unless `before`, the latest time in unix seconds for which
    its sender may schedule, is at or after `at`."""
    if before is None or at.timestamp() > before:
        raise ProtocolError(
            ErrorCode.SCHEDULE_PERMISSION_DENIED, "You may not schedule this for so late a time."
        )


def invalid(message: str) -> ProtocolError:
    return ProtocolError(ErrorCode.INVALID_SCHEDULE_EXPRESSION, message)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    """`localtime`, a link to the machine's own zone, lies among them and is none of IANA's."""
    return frozenset(available_timezones() - {"localtime"})
