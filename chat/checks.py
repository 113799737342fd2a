"""Problems that keep this installation from running as configured, in sentences.

`manage.py check` and the commands report the same ones. Checks of keys: `tokens/checks.py`.
"""

from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final, cast
from urllib.parse import urlsplit

import psycopg
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.handlers.asgi import ASGIHandler
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string
from psycopg.conninfo import conninfo_to_dict

from chat.conf import THIS_MACHINE, conf, settings
from chat.models import Message
from chat.protocol.addresses import is_loopback, networks
from chat.store import search
from chat.store.databases import APPS, apart, connection
from tokens.checks import DEMO_IS_OPEN
from tokens.conf import settings as token_settings

PURGE_OVERDUE: Final = timedelta(days=2)
PURGE_DOES_NOT_RUN: Final = Warning(
    "Messages that expired more than two days ago are still stored: `manage.py purge_expired`"
    " does not run.",
    hint="docs/operations.md has the line for cron and the timer for systemd.",
    id="chat.W001",
)
NO_PROXY_NAMED: Final = Warning(
    "CONNECTIONS_PER_ADDRESS is set, and FORWARDED_ALLOW_IPS does not name your proxy: behind one"
    " that is not named, all clients have its address and share one limit.",
    hint="Set FORWARDED_ALLOW_IPS to the address or network of the proxy; 127.0.0.1 where it runs"
    " on this machine, or where there is none.",
    id="chat.W002",
)
ALL_TRUSTED: Final = Warning(
    "FORWARDED_ALLOW_IPS believes everybody: a client can choose the address that is banned,"
    " limited and written down for it.",
    hint="Set FORWARDED_ALLOW_IPS to the address or network of the proxy.",
    id="chat.W003",
)
ANY_ORIGIN: Final = Error(
    "ALLOWED_ORIGINS is `*`: pages of any site may connect, with a token that they come by.",
    hint="Name the origins of your pages, such as https://www.example.org.",
    id="chat.E003",
)
NO_INDEX: Final = Warning(
    "MESSAGE_SEARCH is on, and there is no index of texts: nothing can be searched.",
    hint="Run `manage.py index_messages`, also after a migration that has made the table anew.",
    id="chat.W004",
)
REQUESTS_ARE_ATOMIC: Final = Warning(
    "ATOMIC_REQUESTS is set for the chat's database: what a view publishes is sent when its request"
    " ends, on SQLite the server waits for each request that writes, and Django refuses async"
    " views, such as the chat page.",
    hint="Set it to False, and use transaction.atomic where a view needs it.",
    id="chat.W011",
)
PLAIN_DATABASE: Final = Warning(
    "The chat's database has Django's own options: on PostgreSQL each read opens a connection, and"
    " one that hangs is waited for; on SQLite readers and the writer wait for each other.",
    hint="In the settings: DATABASES[alias] = chat.store.databases.for_server(DATABASES[alias]).",
    id="chat.W012",
)
MIN_SECRET: Final = 24  # bytes, as the Standard Webhooks scheme wants them
MAX_SECRET: Final = 64
SECRET_FORM: Final = f"whsec_ and the Base64 of {MIN_SECRET} to {MAX_SECRET} bytes"
VENDORS: Final = ("sqlite", "postgresql")
NOT_MIGRATED: Final = "The database is not up to date: run `manage.py migrate`."


def environment_problems() -> list[str]:
    """A sentence for each setting that is unknown or malformed, without its value."""
    application = getattr(django_settings, "ASGI_APPLICATION", None)
    named = isinstance(application, str) and "." in application
    project = str(django_settings.ROOT_URLCONF).partition(".")[0]
    needs = (
        "ASGI_APPLICATION must name the project's ASGI application, such as"
        f" {project}.asgi.application: WSGI has no WebSockets."
    )
    redis = "REDIS_URL must have a port that is a number."
    broker = "BROKER_URL must be an address as PostgreSQL's programs take it; `%` is written %25."
    met = {
        needs: named,
        redis: _has_valid_port(settings.REDIS_URL),
        broker: _is_postgresql_address(settings.BROKER_URL),
    }
    return [*settings.PROBLEMS, *conf.problems(), *_alias_problems(), *_unmet(met)]


def _alias_problems() -> list[str]:
    """Whether the chat can keep its rows in the database that it is to use."""
    alias = settings.DATABASE
    if alias not in connections:
        return [f'CHAT["DATABASE"] must be one of DATABASES: {", ".join(connections)}.']
    if connection.vendor in VENDORS or settings.PROBLEMS:  # one of these says what is missing
        return []
    return [
        f"The database {alias} is {connection.display_name}, and the chat needs SQLite or"
        ' PostgreSQL: add one to DATABASES, and name it in CHAT["DATABASE"].'
    ]


def url_problems() -> list[str]:
    """Whether the chat has an address."""
    from chat.urls import websocket

    line = 'path("live/", include("chat.urls"))'
    sentence = f"The chat has no address: add {line} to {django_settings.ROOT_URLCONF}."
    return _unmet({sentence: _has_view(get_resolver().url_patterns, websocket)})


def _has_view(patterns: Iterable[URLPattern | URLResolver], view: object) -> bool:
    return any(
        _has_view(each.url_patterns, view)
        if isinstance(each, URLResolver)
        else each.callback is view
        for each in patterns
    )


def application_problems() -> list[str]:
    """Whether ASGI_APPLICATION is one that serves the chat, as far as that shows."""
    name = str(django_settings.ASGI_APPLICATION)
    try:
        application = import_string(name)
    except ImportError as error:
        return [f"ASGI_APPLICATION, {name}, cannot be imported: {error}."]
    plain = (
        f"{name} is Django's own, which has no WebSockets: import get_asgi_application from"
        " chat.asgi instead of django.core.asgi."
    )
    return _unmet({plain: type(application) is not ASGIHandler})


def webhook_problems() -> list[str]:
    """What is missing or malformed where backend events are to be sent."""
    if not settings.WEBHOOK_URL:
        return []
    secret = settings.WEBHOOK_SECRET
    return _unmet(
        {
            "WEBHOOK_URL must be an address with a host.": _has_host(settings.WEBHOOK_URL),
            f"WEBHOOK_SECRET is empty: WEBHOOK_URL needs one, {SECRET_FORM}.": secret,
            f"WEBHOOK_SECRET must be {SECRET_FORM}.": not secret or _is_webhook_secret(secret),
        }
    )


def deployment_problems() -> list[str]:
    """What must be there when DEBUG is off."""
    if django_settings.DEBUG:
        return []
    storage = staticfiles_storage
    hosts = "ALLOWED_HOSTS must name the hosts that this server answers for."
    static = "Static files are not collected: run `manage.py collectstatic --no-input`."
    installed = apps.is_installed("django.contrib.staticfiles")
    hashed = installed and isinstance(storage, ManifestFilesMixin)
    collected = not hashed or cast("ManifestFilesMixin", storage).read_manifest()
    return _unmet({hosts: django_settings.ALLOWED_HOSTS, static: collected})


def database_problems() -> list[str]:
    """Whether the database answers and is migrated. Uses a connection of its own."""
    probe = connection.copy()
    probe.settings_dict["OPTIONS"].pop("pool", None)  # a pool would retry before it reports
    try:
        executor = MigrationExecutor(probe)
        targets = executor.loader.graph.leaf_nodes()
        if apart():  # the project's own tables need not be there
            targets = [target for target in targets if target[0] in APPS]
        pending = executor.migration_plan(targets)
    except DatabaseError as error:
        where = f" ({probe.settings_dict['NAME']})" if probe.vendor == "sqlite" else ""
        return [f"The database cannot be used{where}: {' '.join(str(error).split())}."]
    finally:
        probe.close()
    return [NOT_MIGRATED] if pending else []


def workers_problems(workers: int) -> list[str]:
    """What several processes need to keep every promise."""
    if workers < 1:
        return ["--workers must be 1 or more."]
    needs = "More than one worker needs PostgreSQL in DATABASE_URL."
    return _unmet({needs: workers == 1 or connection.vendor == "postgresql"})


def exposure_problems(address: str, *, allow_demo: bool) -> list[str]:
    """What must not be reached from other machines, where the server listens at `address`."""
    if is_loopback(address):
        return []
    debug = (
        f"DEBUG is on, which shows settings and code to whoever makes an error, and {address} can"
        " be reached from other machines: set DEBUG=false, or listen at 127.0.0.1."
    )
    demo = (
        f"{DEMO_IS_OPEN} Switch it off (DEMO=false) or, where {address} is meant to be a public"
        " demo, say --allow-demo."
    )
    return _unmet({debug: not django_settings.DEBUG, demo: allow_demo or not token_settings.DEMO})


def _unmet(requirements: Mapping[str, object]) -> list[str]:
    """The sentences of those that are not met."""
    return [sentence for sentence, met in requirements.items() if not met]


def _has_host(url: str) -> bool:
    return _has_valid_port(url) and bool(urlsplit(url).hostname)


def _has_valid_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _is_postgresql_address(url: str) -> bool:
    try:
        ports = conninfo_to_dict(url).get("port", "")
    except psycopg.ProgrammingError:
        return False
    return all(port.isdecimal() or not port for port in str(ports).split(","))


def _is_webhook_secret(secret: str) -> bool:
    try:
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return False
    return secret.startswith("whsec_") and MIN_SECRET <= len(key) <= MAX_SECRET


@register(Tags.compatibility)
def environment(**kwargs: object) -> list[CheckMessage]:
    return [Error(problem, id="chat.E001") for problem in environment_problems()]


@register(Tags.urls)
def address(**kwargs: object) -> list[CheckMessage]:
    return [Error(problem, id="chat.E010") for problem in url_problems()]


@register(Tags.compatibility)
def requests(**kwargs: object) -> list[CheckMessage]:
    held = settings.DATABASE in connections and connection.settings_dict["ATOMIC_REQUESTS"]
    return [REQUESTS_ARE_ATOMIC] if held else []


@register(Tags.security, deploy=True)
def database_options(**kwargs: object) -> list[CheckMessage]:
    """Whether the database is set up as `for_server` does it."""
    given = connection.settings_dict if settings.DATABASE in connections else {"OPTIONS": {}}
    options, vendor = given["OPTIONS"], connection.vendor
    missing = {"sqlite": "init_command", "postgresql": "pool"}.get(vendor, "")
    return [] if not missing or missing in options else [PLAIN_DATABASE]


@register(Tags.security)
def webhook(**kwargs: object) -> list[CheckMessage]:
    return [Error(problem, id="chat.E002") for problem in webhook_problems()]


@register(Tags.security, deploy=True)
def origins(**kwargs: object) -> list[CheckMessage]:
    return [ANY_ORIGIN] if "*" in settings.ALLOWED_ORIGINS else []


@register(Tags.security, deploy=True)
def addresses(**kwargs: object) -> list[CheckMessage]:
    """Whether the addresses that are banned, limited and written down are those of clients."""
    proxies = settings.FORWARDED_ALLOW_IPS
    named = networks(proxies)
    if proxies == "*" or any(each.prefixlen == 0 for each in named):
        return [ALL_TRUSTED]
    if not settings.CONNECTIONS_PER_ADDRESS:
        return []
    return [NO_PROXY_NAMED] if proxies == THIS_MACHINE or not named else []


@register(Tags.database)
def purge_runs(databases: Sequence[str] | None = None, **kwargs: object) -> list[CheckMessage]:
    """Queries the database only under `manage.py check --database default`."""
    if settings.DATABASE not in (databases or ()):
        return []
    overdue = Message.objects.filter(expires_at__lt=Now() - PURGE_OVERDUE)
    try:
        return [PURGE_DOES_NOT_RUN] if overdue.exists() else []
    except DatabaseError:  # away, or without its tables yet: other checks report that
        return []


@register(Tags.database)
def search_is_built(databases: Sequence[str] | None = None, **kwargs: object) -> list[CheckMessage]:
    """Queries the database only under `manage.py check --database default`."""
    if settings.DATABASE not in (databases or ()) or not settings.MESSAGE_SEARCH:
        return []
    try:
        return [] if search.is_built() else [NO_INDEX]
    except DatabaseError:  # other checks report that
        return []
