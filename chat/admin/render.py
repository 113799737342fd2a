"""How values read: times, what is left of a lifetime, text on one line, JSON, links.

Returns text or escaped HTML; queries nothing.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.admin.utils import quote
from django.template.loader import render_to_string
from django.urls import get_script_prefix, get_urlconf, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from ulid import ULID

EMPTY: Final = "\N{EN DASH}"
EXCERPT: Final = 100  # characters of a text that a list shows
EXCERPT_READ: Final = 4 * EXCERPT  # characters that it reads: some are white space

UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))

DEEPEST: Final = 20  # levels that are indented: more would make 32 KiB of brackets into megabytes
OPENING: Final = frozenset("{[")
CLOSING: Final = frozenset("}]")
JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},:]|[^][{},:"\s]+|"', re.DOTALL)


# --- times --------------------------------------------------------------------------------------


def timestamp(time: datetime) -> SafeString:
    """A time to the second, in UTC like every time in the admin."""
    return format_html(
        '<time datetime="{}"><span>{}</span> <span>{}</span></time>',
        time.isoformat(),
        f"{time:%Y-%m-%d}",
        f"{time:%H:%M:%S}",
    )


def time_of(id: str) -> datetime:
    """When a message was stored, which its id says (protocol.md section 2)."""
    return ULID.from_str(id).datetime


def remaining(until: datetime | None, now: datetime) -> str:
    """The time left, such as "in 5 h"; "never" where there is no end, "expired" after it."""
    if until is None:
        return "never"
    seconds = (until - now).total_seconds()
    if seconds <= 0:
        return "expired"
    size, unit = next((unit for unit in UNITS if seconds >= unit[0]), UNITS[-1])
    return f"in {max(round(seconds / size), 1)} {unit}"


def expiry(until: datetime | None, now: datetime) -> str:
    """The time left and, where there is an end, when that is."""
    left = remaining(until, now)
    return left if until is None else format_html("{} ({})", left, timestamp(until))


# --- texts --------------------------------------------------------------------------------------


def one_line(text: str, length: int = EXCERPT) -> str:
    """The beginning of a text, each run of white space as one space."""
    line = " ".join(text[: 2 * length].split())
    return line if len(line) <= length and len(text) <= 2 * length else f"{line[:length]}…"


def excerpt(text: str) -> SafeString:
    return format_html("<bdi>{}</bdi>", one_line(text))


def capped(count: int, cap: int) -> str:
    return f"{cap:,}+" if count > cap else f"{count:,}"


def json(text: str) -> str:
    return format_html('<pre class="json">{}</pre>', indent(text)) if text else EMPTY


def indent(text: str) -> str:
    """JSON with a line for each item and member; changes the white space between tokens only.

    Works on the text: parsing it would change what it says (2^64, repeated keys). Text that is no
    JSON does no harm.
    """
    pieces: list[str] = []
    depth, previous = 0, ""
    for token in JSON_TOKEN.findall(text):
        depth -= token in CLOSING
        pieces += (_space(previous, token, depth), token)
        depth += token in OPENING
        previous = token
    return "".join(pieces)


def _space(previous: str, token: str, depth: int) -> str:
    if previous == ":":
        return " "
    if previous == "," or (previous in OPENING) is not (token in CLOSING):
        return "\n" + "  " * min(max(depth, 0), DEEPEST)
    return ""


# --- links and tables ---------------------------------------------------------------------------

KEY: Final = "KEY"  # in place of one, in the address of a row's page


def page_address(model: str, key: int | str) -> str:
    """Of the page of one row."""
    before, _, after = _address(f"admin:chat_{model}_change", KEY).rpartition(KEY)
    return f"{before}{quote(key)}{after}"


def page_link(text: str, model: str, key: int | str) -> SafeString:
    """A link to the page of one row."""
    return format_html('<a href="{}"><bdi>{}</bdi></a>', page_address(model, key), text)


def list_link(text: str, model: str, **filters: str) -> SafeString:
    """A link to a filtered list."""
    address = f"{_address(f'admin:chat_{model}_changelist')}?{urlencode(filters)}"
    return format_html('<a href="{}"><bdi>{}</bdi></a>', address, text)


def _address(name: str, *arguments: str) -> str:
    """A page has hundreds of links to a few views, and Django makes one in 30 µs."""
    urls = get_urlconf() or settings.ROOT_URLCONF
    return _reversed(name, arguments, get_script_prefix(), urls)


@lru_cache(maxsize=256)
def _reversed(name: str, arguments: Sequence[str], prefix: str, urls: object) -> str:
    """`prefix` and `urls` are the thread's, which Django looks up by itself."""
    return reverse(name, args=arguments)


def person_link(uid: str | None) -> str:
    """A link to the page that says what a user holds."""
    if not uid:
        return EMPTY
    address = reverse("admin:chat_person", query={"uid": uid})
    return format_html('<a href="{}">What <bdi>{}</bdi> holds</a>', address, uid)


def sender(uid: str | None, by_server: bool = False) -> str:
    """A link to all messages of a user."""
    if by_server:
        return "(server API)"
    return list_link(uid, "message", uid=uid) if uid else EMPTY


def sender_name(uid: str | None, by_server: bool) -> str:
    """The sender, as the log and a confirmation name it."""
    return "the server API" if by_server else uid or "nobody"


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], cap: int, more: str) -> str:
    """The first `cap` rows; `more` stands below them where there are others. Escapes cells that
    are not HTML."""
    context = {"heads": heads, "rows": rows[:cap], "more": more if len(rows) > cap else ""}
    return render_to_string("admin/chat/table.html", context)
