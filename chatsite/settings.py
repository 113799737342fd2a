"""The site's settings: the only reader of the environment and of the file that ENV_FILE names
(default: `.env`, where there is one). For this site: another project has settings of its own.

Importing this module writes nothing and never raises: what is malformed has its default, and the
system checks (`chat/checks.py`, `tokens/checks.py`) name what is missing or malformed, in words.
"""

import logging
import os
from contextlib import suppress
from dataclasses import fields
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any, Final

import environ
from django.utils.csp import CSP

from chat.conf import ChatSettings
from chat.store.databases import ENGINES
from tokens.conf import Flag, TokenSettings, parse, read

CHECKOUT = Path(__file__).resolve().parent.parent
# Installed from a wheel, it has its files where it is run.
BASE_DIR = CHECKOUT if (CHECKOUT / "manage.py").is_file() else Path.cwd()
PROBLEMS: list[str] = []  # without values, which may be secrets
NO_DATABASE: Final = "chatsite.no_database"


def text(name: str) -> str:
    """Not through django-environ, which takes `$x` for a reference to the variable x."""
    return os.environ.get(name, "").strip()


def words(name: str, default: list[str]) -> list[str]:
    return [word.strip() for word in text(name).split(",") if word.strip()] or default


def flag(name: str, default: bool) -> bool:
    try:
        return bool(parse(text(name) or default, Flag))
    except ValueError as error:
        PROBLEMS.append(f"{name} must be {error}.")
        return default


def read_env_file() -> str:
    """Into the environment, whose own variables count. Whoever names a file wants it read: gives a
    sentence where it cannot be, or ""."""
    named = text("ENV_FILE")
    path = Path(named or BASE_DIR / ".env")
    try:
        environ.Env.read_env(StringIO(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError:
        return f"{path} must be UTF-8 text: it is read into the environment."
    except OSError as error:
        away = isinstance(error, FileNotFoundError) and not named
        return "" if away else f"{path} cannot be read into the environment: {error.strerror}."
    return ""


def database() -> dict[str, Any]:
    """DATABASE_URL as Django wants it, with what the server needs of each engine."""
    beside = f"sqlite:///{BASE_DIR / 'db.sqlite3'}" if DEBUG else ""
    form = "an address that begins with sqlite:///, postgres:// or postgresql://"
    problem = f"DATABASE_URL must be {form}."
    if url := text("DATABASE_URL") or beside:
        with suppress(KeyError, ValueError):
            return _database(url)
    else:
        problem = f"DATABASE_URL is missing: it must be {form} (see --env-file)."
    PROBLEMS.append(problem)
    return {"ENGINE": NO_DATABASE, "NAME": ENV_FILE_PROBLEM or problem}


def _database(url: str) -> dict[str, Any]:
    config: dict[str, Any] = environ.Env.db_url_config(url)
    engine = ENGINES[url.partition(":")[0]]
    if url.startswith("sqlite:") and config["NAME"] != ":memory:":
        config["NAME"] = str(BASE_DIR / config["NAME"])  # the same, wherever a command is run
    return config | engine(config.get("OPTIONS", {}))


ENV_FILE_PROBLEM: str = read_env_file()
PROBLEMS += filter(None, [ENV_FILE_PROBLEM])

# --- the apps: each of their settings is the variable of that name --------------------------
DEBUG: bool = flag("DEBUG", False)
TOKENS: dict[str, object] = {field.name: text(field.name) for field in fields(TokenSettings)}
TOKENS["DEMO"] = TOKENS["DEMO"] or DEBUG
CHAT: dict[str, object] = {field.name: text(field.name) for field in fields(ChatSettings)}
CHAT |= {"PROBLEMS": PROBLEMS, "DATABASE": "default", "BOUND_PAGE_BODIES": True}
CHAT |= {"RULES": "", "USER_METADATA": "", "UIDS_ARE_USERS": False}  # its users are moderators
configured, _ = read(ChatSettings, "CHAT", CHAT)

# --- where things are kept ------------------------------------------------------------------
DATABASES = {"default": database()}

# --- Django ---------------------------------------------------------------------------------
HTTPS: bool = flag("HTTPS", not DEBUG)
ADMIN: bool = flag("ADMIN", True)
SECRET_KEY: str = text("SECRET_KEY")
ALLOWED_HOSTS: list[str] = words("ALLOWED_HOSTS", ["*"] if DEBUG else [])
CSRF_TRUSTED_ORIGINS: list[str] = words("CSRF_TRUSTED_ORIGINS", [])
INSTALLED_APPS = [
    "chatsite",  # before staticfiles: its runserver speaks WebSockets
    "tokens",
    "chat",
    # Its tables are there in any case, for other apps and later.
    "django.contrib.admin" if ADMIN else "django.contrib.admin.apps.SimpleAdminConfig",
    "axes",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
]
MIDDLEWARE = [
    "chatsite.login.middleware",
    "django.middleware.security.SecurityMiddleware",
    "chat.http.staticfiles.middleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
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
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "chatsite.login.Backend"]
AXES_LOCKOUT_PARAMETERS = "chatsite.login.counted"
AXES_CLIENT_IP_CALLABLE = "chatsite.login.client_address"
AXES_LOCKOUT_CALLABLE = "chatsite.login.refusal"
AXES_FAILURE_LIMIT = 10  # within AXES_COOLOFF_TIME
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # nor is anything written then
AXES_ENABLE_ADMIN = AXES_VERBOSE = False
# What is not stored of a failure: `next` may name a person in a filter of the admin.
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "next", "csrfmiddlewaretoken"]
SESSION_COOKIE_AGE = 8 * 3600
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
APPEND_SLASH = True

STATIC_URL = "/static/"
STATIC_ROOT = Path(text("STATIC_ROOT") or BASE_DIR / "staticfiles")
STATICFILES_DIRS = [each for each in [BASE_DIR / "static"] if each.is_dir()]
STATICFILES_FINDERS = [
    "chat.http.staticfiles.CurrentFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
]
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

DEFAULT_EXCEPTION_REPORTER_FILTER = "chatsite.error_pages.ErrorPageFilter"
# Lines name no thread and no task, and making a record takes a third longer with them.
logging.logThreads = logging.logMultiprocessing = logging.logAsyncioTasks = False  # type: ignore[attr-defined]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "chat.logs.RedactingFormatter", "as_json": not DEBUG}},
    "filters": {
        "throttle": {"()": "chat.logs.ThrottleFilter"},
        "strangers": {"()": "chat.logs.StrangersFilter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler" if DEBUG else "chat.logs.BufferedStreamHandler",
            "formatter": "line",
            "level": configured.LOG_LEVEL,
            "filters": [] if DEBUG else ["strangers"],
        }
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "chat": {"level": configured.LOG_LEVEL},
        "tokens": {"level": configured.LOG_LEVEL},
        "django": {"level": "INFO"},
        # Its handler and uvicorn's own would print what the root's prints.
        "django.server": {"level": "INFO", "propagate": True},
        # Several lines for each login.
        "axes": {"level": "WARNING"},
        # A line for each request to the webhook.
        "httpx": {"level": "WARNING"},
        # A line for each opening and closing of a WebSocket, beside the access log's.
        "websockets": {"level": "WARNING"},
        # A line for each attempt to connect while PostgreSQL is away: five a second and connection.
        "psycopg.pool": {"level": "WARNING", "filters": ["throttle"]},
        # A line for each batch while the database takes nothing.
        "chat.writer": {"filters": ["throttle"]},
        # A line for each channel, where another process cannot be heard.
        "chat.hub": {"filters": ["throttle"]},
    },
}

# --- who may call from where ----------------------------------------------------------------
CORS_ALLOW_ALL_ORIGINS: bool = "*" in configured.ALLOWED_ORIGINS
CORS_ALLOWED_ORIGINS = () if CORS_ALLOW_ALL_ORIGINS else configured.ALLOWED_ORIGINS
CORS_ALLOW_HEADERS = ["content-type", "authorization"]
CORS_URLS_REGEX = r"^/tokens$"  # the API's own: chat/http/fast_path.py

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
