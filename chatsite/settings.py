"""The site's settings: the only reader of the environment and of `.env`.

Importing this module writes nothing and never raises: what is missing or malformed is said by
system checks (`tokens/checks.py`, `chat/checks.py`), in words, at the moment it matters.
"""

from pathlib import Path

import environ
from django.utils.csp import CSP

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(BASE_DIR / ".env")

# --- what runs ------------------------------------------------------------------------------
DEBUG: bool = env.bool("DEBUG", False)
DEMO: bool = env.bool("DEMO", DEBUG)
SECRET_KEY: str = env.str("SECRET_KEY", "")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["*"] if DEBUG else [])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
ALLOWED_ORIGINS: list[str] = env.list("ALLOWED_ORIGINS", default=["*"])

# --- tokens (protocol.md section 3) ---------------------------------------------------------
SIGNING_KEY_1_METHOD: str = env.str("SIGNING_KEY_1_METHOD", "")
SIGNING_KEY_1_ID: str = env.str("SIGNING_KEY_1_ID", "")
SIGNING_KEY_1_ENCODED: str = env.str("SIGNING_KEY_1_ENCODED", "")
SIGNING_KEY_2_METHOD: str = env.str("SIGNING_KEY_2_METHOD", "")
SIGNING_KEY_2_ID: str = env.str("SIGNING_KEY_2_ID", "")
SIGNING_KEY_2_ENCODED: str = env.str("SIGNING_KEY_2_ENCODED", "")
ISSUER_PRIVATE_KEY_ENCODED: str = env.str("ISSUER_PRIVATE_KEY_ENCODED", "")
TOKEN_AUDIENCE: str = env.str("TOKEN_AUDIENCE", "")
TOKEN_ISSUER: str = env.str("TOKEN_ISSUER", "")
TOKEN_LEEWAY_SECONDS: float = env.float("TOKEN_LEEWAY_SECONDS", 0.0)
API_SECRET_KEY_1: str = env.str("API_SECRET_KEY_1", "")
API_SECRET_KEY_2: str = env.str("API_SECRET_KEY_2", "")

# --- limits ---------------------------------------------------------------------------------
CONNECTION_MAX_SECONDS: int = env.int("CONNECTION_MAX_SECONDS", 7200)
CONNECTION_IDLE_SECONDS: int = env.int("CONNECTION_IDLE_SECONDS", 600)
KEEP_ALIVE_SECONDS: int = env.int("KEEP_ALIVE_SECONDS", 570)
NODE_LEASE_SECONDS: int = env.int("NODE_LEASE_SECONDS", 15)
CLIENT_FRAMES_PER_SECOND: int = env.int("CLIENT_FRAMES_PER_SECOND", 100)
CONNECTIONS_PER_ADDRESS: int = env.int("CONNECTIONS_PER_ADDRESS", 0)

# --- where things are kept ------------------------------------------------------------------
REDIS_URL: str = env.str("REDIS_URL", "")
DATABASES = {
    "default": env.db_url("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}"),
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # WAL lets readers work beside the writer; FULL keeps an acknowledged message through a power
    # cut, and group commit makes it cheap. IMMEDIATE: a transaction that will write says so first.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
else:
    # A small pool for the threads that read; waits 2 s at most, and never hands out a dead one.
    DATABASES["default"]["OPTIONS"] = {
        "pool": {"min_size": 1, "max_size": 8, "timeout": 2},
    }
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

CHANNEL_LAYERS = {
    "default": (
        {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        }
        if REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    ),
}

# --- Django ---------------------------------------------------------------------------------
INSTALLED_APPS = [
    "daphne",  # before staticfiles: its runserver speaks WebSockets
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "channels",
    "tokens",
    "chat",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
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
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG

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
