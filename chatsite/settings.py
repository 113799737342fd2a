"""The site's settings: the only reader of the environment and of `.env`.

Importing this module writes nothing and never raises: a malformed value gives its default and an
entry in ENVIRONMENT_ERRORS; system checks (`chat/checks.py`, `tokens/checks.py`) say what is
missing or malformed, in words, at the moment it matters.
"""

import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import environ
from django.utils.csp import CSP

from chat.store.databases import ENGINES

BASE_DIR = Path(__file__).resolve().parent.parent

# Variable -> what it should have been. Only what it should be: its value may be a secret.
ENVIRONMENT_ERRORS: dict[str, str] = {}

if (BASE_DIR / ".env").exists():
    try:
        environ.Env.read_env(BASE_DIR / ".env")
    except UnicodeDecodeError:
        ENVIRONMENT_ERRORS[".env"] = "UTF-8 text"


def _read[T](name: str, default: T, parse: Callable[[str], T], expected: str) -> T:
    """The variable, parsed; `default` where it is absent, blank or malformed."""
    text = os.environ.get(name, "").strip()
    try:
        return parse(text) if text else default
    except (KeyError, ValueError):
        ENVIRONMENT_ERRORS[name] = expected
        return default


def text(name: str) -> str:
    return os.environ.get(name, "").strip()


def flag(name: str, default: bool) -> bool:
    words = {**dict.fromkeys(("true", "yes", "on", "1"), True)}
    words |= dict.fromkeys(("false", "no", "off", "0"), False)
    return _read(name, default, lambda value: words[value.lower()], "true or false")


def number(name: str, default: int, least: int) -> int:
    def parse(value: str) -> int:
        if (parsed := int(value)) < least:
            raise ValueError(name)
        return parsed

    return _read(name, default, parse, f"a whole number from {least} up")


def words(name: str, default: list[str]) -> list[str]:
    return [word.strip() for word in text(name).split(",") if word.strip()] or default


def address(name: str, schemes: tuple[str, ...]) -> str:
    def parse(value: str) -> str:
        if value.partition("://")[0] not in schemes:
            raise ValueError(name)
        return value

    return _read(name, "", parse, f"an address that begins with {' or '.join(schemes)}://")


def database() -> dict[str, Any]:
    """DATABASE_URL as Django wants it, with what the server needs of each engine."""
    beside = f"sqlite:///{BASE_DIR / 'db.sqlite3'}"

    def parse(value: str) -> dict[str, Any]:
        config: dict[str, Any] = environ.Env.db_url_config(value)
        options = config.get("OPTIONS", {})
        return config | ENGINES[value.partition(":")[0]](options, NODE_LEASE_SECONDS)

    expected = "an address that begins with sqlite:///, postgres:// or postgresql://"
    return _read("DATABASE_URL", parse(beside), parse, expected)


# --- what runs ------------------------------------------------------------------------------
DEBUG: bool = flag("DEBUG", False)
DEMO: bool = flag("DEMO", DEBUG)
HTTPS: bool = flag("HTTPS", not DEBUG)
SECRET_KEY: str = text("SECRET_KEY")
ALLOWED_HOSTS: list[str] = words("ALLOWED_HOSTS", ["*"] if DEBUG else [])
CSRF_TRUSTED_ORIGINS: list[str] = words("CSRF_TRUSTED_ORIGINS", [])
ALLOWED_ORIGINS: list[str] = words("ALLOWED_ORIGINS", ["*"])
FORWARDED_ALLOW_IPS: str = text("FORWARDED_ALLOW_IPS") or "127.0.0.1,::1"

# --- tokens (protocol.md section 3) ---------------------------------------------------------
SIGNING_KEY_1_METHOD: str = text("SIGNING_KEY_1_METHOD")
SIGNING_KEY_1_ID: str = text("SIGNING_KEY_1_ID")
SIGNING_KEY_1_ENCODED: str = text("SIGNING_KEY_1_ENCODED")
SIGNING_KEY_2_METHOD: str = text("SIGNING_KEY_2_METHOD")
SIGNING_KEY_2_ID: str = text("SIGNING_KEY_2_ID")
SIGNING_KEY_2_ENCODED: str = text("SIGNING_KEY_2_ENCODED")
ISSUER_PRIVATE_KEY_ENCODED: str = text("ISSUER_PRIVATE_KEY_ENCODED")
TOKEN_AUDIENCE: str = text("TOKEN_AUDIENCE")
TOKEN_ISSUER: str = text("TOKEN_ISSUER")
TOKEN_LEEWAY_SECONDS: int = number("TOKEN_LEEWAY_SECONDS", 0, least=0)
API_SECRET_KEY_1: str = text("API_SECRET_KEY_1")
API_SECRET_KEY_2: str = text("API_SECRET_KEY_2")

# --- limits ---------------------------------------------------------------------------------
CONNECTION_MAX_SECONDS: int = number("CONNECTION_MAX_SECONDS", 7200, least=1)
CONNECTION_IDLE_SECONDS: int = number("CONNECTION_IDLE_SECONDS", 600, least=1)
KEEP_ALIVE_SECONDS: int = number("KEEP_ALIVE_SECONDS", 570, least=1)
NODE_LEASE_SECONDS: int = number("NODE_LEASE_SECONDS", 15, least=1)
CLIENT_FRAMES_PER_SECOND: int = number("CLIENT_FRAMES_PER_SECOND", 100, least=0)
CONNECTIONS_PER_ADDRESS: int = number("CONNECTIONS_PER_ADDRESS", 0, least=0)

# --- where things are kept ------------------------------------------------------------------
DATABASES = {"default": database()}
REDIS_URL: str = address("REDIS_URL", ("redis", "rediss", "unix"))
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": (
        {
            "BACKEND": "chat.cluster.redis_layer.RedisLayer",
            # Redis passes messages on between its databases, too: what keeps two sites apart is
            # that their keys differ.
            "CONFIG": {
                "hosts": [REDIS_URL],
                "prefix": f"chat-{blake2b(SECRET_KEY.encode(), digest_size=8).hexdigest()}",
            },
        }
        if REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    ),
}

# --- backend events (docs/webhooks.md) ------------------------------------------------------
WEBHOOK_URL: str = address("WEBHOOK_URL", ("http", "https"))
WEBHOOK_SECRET: str = text("WEBHOOK_SECRET")

# --- Django ---------------------------------------------------------------------------------
INSTALLED_APPS = [
    "tokens",
    "chat",  # before staticfiles: its runserver speaks WebSockets
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "channels",
]
MIDDLEWARE = [
    "chat.http.health.probes",
    "chat.http.fast_path.api",
    "django.middleware.security.SecurityMiddleware",
    "chat.http.staticfiles.StaticFilesMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "chatsite.urls"
ASGI_APPLICATION = "chatsite.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
APPEND_SLASH = True

STATIC_URL = "/static/"
STATIC_ROOT = Path(text("STATIC_ROOT") or BASE_DIR / "staticfiles")
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "chat.http.staticfiles.ModuleManifestStorage"
        ),
    },
}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"()": "chat.logs.SecretFreeFormatter"}},
    "filters": {"once a second": {"()": "chat.logs.OnceASecond"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"level": "INFO"},
        # Its handler and uvicorn's own would print what the root's prints.
        "django.server": {"level": "INFO", "propagate": True},
        # A line for each request to the webhook.
        "httpx": {"level": "WARNING"},
        # A line for each opening and closing of a WebSocket, beside the access log's.
        "websockets": {"level": "WARNING"},
        # A line for each attempt to connect while PostgreSQL is away: five a second and connection.
        "psycopg.pool": {"level": "WARNING", "filters": ["once a second"]},
    },
}

# --- who may call from where ----------------------------------------------------------------
CORS_ALLOW_ALL_ORIGINS: bool = "*" in ALLOWED_ORIGINS
CORS_ALLOWED_ORIGINS: list[str] = [] if CORS_ALLOW_ALL_ORIGINS else ALLOWED_ORIGINS
CORS_ALLOW_HEADERS = ["content-type", "authorization"]
CORS_URLS_REGEX = r"^/(connection/|tokens$)"

SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
}
X_FRAME_OPTIONS = "DENY"

if HTTPS:
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 30 * 24 * 3600
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
# Whether HSTS holds for other hosts of the domain is for the domain's owner to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
