"""How rows read: times, what is left of a life, text on one line, a browser's name.

Gives text or escaped HTML; asks nothing of the database.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from django.contrib.admin.utils import quote
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timezone import now
from ulid import ULID

from tokens.claims import TokenError, parse_claims
from tokens.explain import explain

from .jsontext import indent

NOTHING: Final = "\N{EN DASH}"
EXCERPT: Final = 100  # characters of a message in a list
READ: Final = 4 * EXCERPT  # of which it reads so many: some are white space
AGENT: Final = 60

UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))

# The first that is found names the browser: each also says it is those that follow.
BROWSERS: Final = (
    ("Edge", re.compile(r"\bEdgA?(?:iOS)?/(\d+)")),
    ("Opera", re.compile(r"\bOPR/(\d+)")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/(\d+)")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/(\d+)")),
    ("Chrome", re.compile(r"\b(?:Headless)?(?:Chrome|CriOS)/(\d+)")),
    ("Safari", re.compile(r"\bVersion/(\d+)[\d.]* (?:Mobile/\w+ )?Safari/")),
)
SYSTEMS: Final = (
    ("iPhone", re.compile(r"\biPhone\b")),
    ("iPad", re.compile(r"\biPad\b")),
    ("Android", re.compile(r"\bAndroid\b")),
    ("Windows", re.compile(r"\bWindows\b")),
    ("macOS", re.compile(r"\bMac OS X\b")),
    ("ChromeOS", re.compile(r"\bCrOS\b")),
    ("Linux", re.compile(r"\bLinux\b")),
)


def moment(time: datetime) -> SafeString:
    """A time to the second, in UTC as all of the admin."""
    return format_html(
        '<time datetime="{}"><span>{}</span> <span>{}</span></time>',
        time.isoformat(),
        f"{time:%Y-%m-%d}",
        f"{time:%H:%M:%S}",
    )


def moment_of(id: str) -> datetime:
    """When a message was made, which its id says (protocol.md section 2)."""
    return ULID.from_str(id).datetime


def remaining(until: datetime | None) -> str:
    """What is left of a message's life: "never" ends, "in 5 h" or "expired"."""
    if until is None:
        return "never"
    seconds = (until - now()).total_seconds()
    if seconds <= 0:
        return "expired"
    size, unit = next((unit for unit in UNITS if seconds >= unit[0]), UNITS[-1])
    return f"in {max(round(seconds / size), 1)} {unit}"


def expiry(until: datetime | None) -> str | SafeString:
    """What is left of a life and, where it ends, when."""
    left = remaining(until)
    return left if until is None else format_html("{} ({})", left, moment(until))


def one_line(text: str, length: int = EXCERPT) -> str:
    """The beginning of a text, its runs of white space as one space."""
    line = " ".join(text[: 2 * length].split())
    return line if len(line) <= length and len(text) <= 2 * length else f"{line[:length]}…"


def browser(agent: str) -> str:
    """ "Firefox 128 on Windows"; the beginning of what it says where it is none that is known."""
    for name, pattern in BROWSERS:
        if found := pattern.search(agent):
            system = next((f" on {name}" for name, of in SYSTEMS if of.search(agent)), "")
            return f"{name} {found[1]}{system}"
    return one_line(agent, AGENT) or NOTHING


def capped(count: int, cap: int) -> str:
    return f"{cap:,}+" if count > cap else f"{count:,}"


def json(text: str) -> SafeString:
    return format_html('<pre class="json">{}</pre>', indent(text))


def link(text: str, model: str, key: int | str) -> SafeString:
    """To the page of one thing."""
    address = reverse(f"admin:chat_{model}_change", args=[quote(key)])
    return format_html('<a href="{}"><bdi>{}</bdi></a>', address, text)


def listing(text: str, model: str, asked: Mapping[str, str]) -> SafeString:
    """To a list that was asked something."""
    address = reverse(f"admin:chat_{model}_changelist")
    return format_html('<a href="{}?{}"><bdi>{}</bdi></a>', address, urlencode(asked), text)


def sender(uid: str | None, *, by_server: bool) -> str | SafeString:
    """To all that a person has said."""
    if by_server:
        return "(server API)"
    return listing(uid, "message", {"uid": uid}) if uid else NOTHING


def excerpt(text: str) -> SafeString:
    return format_html("<bdi>{}</bdi>", one_line(text))


def named(uid: str | None, *, by_server: bool) -> str:
    """Whose it was, in the log and before a deletion."""
    return "the server API" if by_server else uid or "nobody"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], more: str = "") -> SafeString:
    """Cells as they are or, where they are not HTML, escaped; `more` below them."""
    context = {"heads": heads, "rows": list(rows), "more": more}
    return render_to_string("admin/chat/table.html", context)


def explained(payload: str, scope: str) -> str | SafeString:
    """A token's claims in plain sentences; "" is no token."""
    if not payload:
        return NOTHING
    try:
        claims = parse_claims(payload.encode(), scope=scope)
    except TokenError as error:  # one that an older version of this server accepted
        return str(error)
    sentences = ((sentence,) for sentence in explain(claims))
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", sentences))
