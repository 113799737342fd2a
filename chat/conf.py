"""This app's settings: `CHAT = {...}` in Django's settings; each key has a default.

How they are read: `tokens/conf.py`. Nothing else in this app reads settings of its own.
"""

from dataclasses import dataclass
from typing import Annotated, Final, cast

from msgspec import Meta

from tokens.conf import Conf, Flag, FromOne, FromZero, Text, Words


def _address(*schemes: str) -> Meta:
    expected = f"an address that begins with {' or '.join(schemes)}://"
    return Meta(pattern=f"^({'|'.join(schemes)})://", description=expected)


THIS_MACHINE: Final = "127.0.0.1,::1"
LongKey = Annotated[str, Meta(min_length=32, description="a key of 32 characters or more")]
RedisAddress = Annotated[str, _address("redis", "rediss", "unix")]
PostgresqlAddress = Annotated[str, _address("postgres", "postgresql")]
Days = Annotated[int, Meta(ge=1, le=36_500, description="a whole number from 1 to 36500")]
HttpAddress = Annotated[str, _address("http", "https")]
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
Level = Annotated[
    str, Meta(pattern=f"^({'|'.join(LEVELS)})$", description=f"{', '.join(LEVELS[:-1])} or ERROR")
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChatSettings:
    DATABASE: Text = "default"
    """The alias, in DATABASES, of the database where the chat keeps its rows."""
    BOUND_PAGE_BODIES: Flag = False
    """Whether what is sent to pages that are not the chat's is bounded as well: 1 MiB in 10 s."""
    ALLOWED_ORIGINS: Words = ("*",)
    """The origins whose pages may connect and call; `*`: all."""
    FORWARDED_ALLOW_IPS: Text = THIS_MACHINE
    """Addresses of proxies, with commas between, whose X-Forwarded-For and -Proto are believed."""

    CONNECTION_MAX_SECONDS: FromOne = 7200
    """How long a connection lasts at most, in seconds, from 1 up."""
    CONNECTION_IDLE_SECONDS: FromOne = 600
    """How long a connection may carry no message either way, in seconds, from 1 up."""
    CLOSE_ON_TOKEN_EXPIRY: Flag = False
    """Whether a connection ends when its connect token expires, and a subscription when its
    subscribe token does."""
    KEEP_ALIVE_SECONDS: FromOne = 570
    """How often the server sends a message where the token has `keepAlive`, in seconds, from 1 up;
    less than CONNECTION_IDLE_SECONDS."""
    NODE_LEASE_SECONDS: FromOne = 15
    """How soon after a crash the others take a process for dead, in seconds, from 1 up."""
    CLIENT_FRAMES_PER_SECOND: FromZero = 100
    """How many frames a client may send on average, in bursts of ten times that; 0: any number."""
    CONNECTIONS_MAX: FromZero = 0
    """How many connections a process may have; 0: as many as its descriptors allow."""
    CONNECTIONS_PER_ADDRESS: FromZero = 0
    """How many connections one address, or /64 of IPv6, may have in all processes; 0: any
    number."""
    QUOTA_CONNECTIONS: FromZero = 1000
    """How many connections one uid may have in all processes; 0: any number."""
    QUOTA_STORED_BYTES: FromZero = 1024**3
    """How many bytes of messages and storage entries one uid may keep, about; 0: any number."""
    QUOTA_STORAGE_KEYS: FromZero = 10_000
    """How many storage entries one uid may keep; 0: any number."""
    QUOTA_SCHEDULES: FromZero = 10_000
    """How much one uid may have scheduled at a time; 0: any number."""
    QUOTA_ACKS: FromZero = 100_000
    """How many acknowledgements are remembered for one uid, each for ten minutes, about; 0: any
    number."""
    OUTBOX_MAX: FromOne = 100_000
    """How many writes of callers' transactions may wait for a server, on PostgreSQL, from 1 up."""

    AUDIT_DAYS: Days = 365
    """How many days an entry of the audit log is kept, from 1 to 36500."""

    MESSAGE_SEARCH: Flag = False
    """Whether moderators may search messages by text, once `index_messages` has built an index."""

    REDIS_URL: RedisAddress = ""
    """The Redis that carries announcements between processes; "": PostgreSQL does, where the
    database is one."""
    BROKER_URL: PostgresqlAddress = ""
    """The same PostgreSQL, for announcements, where a pooler is between it and the database's
    address; "": that address."""
    WEBHOOK_URL: HttpAddress = ""
    """Where backend events are sent; "": none are written."""
    WEBHOOK_SECRET: Text = ""
    """What signs them: `whsec_` and Base64, as the Standard Webhooks scheme has it."""

    METRICS_KEY: LongKey = ""
    """What `GET /metrics` must bring as its Bearer token; "": there is no such page."""

    LOG_LEVEL: Level = "INFO"
    """How grave an event must be to be logged: DEBUG, INFO, WARNING or ERROR."""

    RULES: Text = ""
    """The function, as in "shop.live.rules", that gives the channels of a request's user, for
    `POST token`; "": there is no such address."""
    USER_METADATA: Text = ""
    """The function that gives a user's metadata (`umd`), such as a name and an avatar; "": none."""
    UIDS_ARE_USERS: Flag = True
    """Whether uids are the primary keys of Django's users, so that who logs out, changes the
    password, is deactivated or deleted loses connections and tokens."""

    PROBLEMS: Words = ()
    """What the site found wrong in its own settings, in sentences; system checks repeat them."""


conf = Conf("CHAT", ChatSettings)
settings = cast("ChatSettings", conf)
