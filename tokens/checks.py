"""System checks: settings and keys that are missing, malformed or weak, and how to correct them.

A missing key fails `check --deploy` and `serve`, but not `makemigrations` on a fresh checkout; a
key that is set but wrong fails every check.
"""

from collections.abc import Iterator

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from tokens.conf import KeySettings, conf, settings
from tokens.keys import METHODS, KeyProblem, load_signing, load_verifying

MIN_API_KEY_LENGTH = 32
SET_IT = "Run `make setup` for development keys, or set it in the environment."
CORRECT_IT = "Correct it in `.env` or in the environment."


def key_problems() -> list[str]:
    """Why this site cannot serve, one sentence for each problem."""
    return [*conf.problems(), *_missing(), *_wrong()]


@register(Tags.compatibility)
def check_settings(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    return [Error(problem, id="tokens.E003") for problem in conf.problems()]


@register(Tags.security)
def check_stated_keys(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    errors: list[CheckMessage] = [Error(problem, id="tokens.E001") for problem in _wrong()]
    return [*errors, *_short_api_keys()]


@register(Tags.security, deploy=True)
def check_missing_keys(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    return [Error(problem, id="tokens.E002") for problem in _missing()]


def _missing() -> Iterator[str]:
    """What is required and not set."""
    if not _has_secret_key():
        yield f"SECRET_KEY is empty. {SET_IT}"
    if not any(key.present for key in settings.keys):
        yield f"SIGNING_KEY_1_METHOD and SIGNING_KEY_1_ENCODED are empty. {SET_IT}"
    if not (settings.API_SECRET_KEY_1 or settings.API_SECRET_KEY_2):
        yield f"API_SECRET_KEY_1 is empty. {SET_IT}"


def _wrong() -> Iterator[str]:
    """What is set but does not work."""
    for number, key in enumerate(settings.keys, start=1):
        if key.present:
            yield from _problems(number, key)
    if settings.DEMO and any(key.present for key in settings.keys):
        yield from _demo_problems(settings.keys[0], settings.ISSUER_PRIVATE_KEY_ENCODED)


def _problems(number: int, key: KeySettings) -> Iterator[str]:
    prefix = f"SIGNING_KEY_{number}"
    if key.method not in METHODS:
        yield f"{prefix}_METHOD must be one of {', '.join(METHODS)}. {CORRECT_IT}"
    elif not key.encoded:
        yield f"{prefix}_ENCODED is empty, but {prefix}_METHOD is set. {CORRECT_IT}"
    else:
        try:
            load_verifying(*key)
        except KeyProblem as problem:
            yield f"{prefix}_ENCODED {problem}. {CORRECT_IT}"


def _demo_problems(first: KeySettings, private_key: str) -> Iterator[str]:
    """The demo signs its tokens with key 1."""
    if not first.present:
        yield "SIGNING_KEY_1_METHOD is empty, but the demo (DEMO) signs with key 1. " + SET_IT
        return
    try:
        key = load_verifying(*first)
    except KeyProblem:
        return
    try:
        load_signing(key, private_key)
    except KeyProblem as problem:
        yield f"ISSUER_PRIVATE_KEY_ENCODED {problem}; set it, or switch the demo off (DEMO=false)."


def _short_api_keys() -> Iterator[CheckMessage]:
    for name in ("API_SECRET_KEY_1", "API_SECRET_KEY_2"):
        length = len(getattr(settings, name))
        if 0 < length < MIN_API_KEY_LENGTH:
            yield Warning(
                f"{name} has {length} characters; use at least {MIN_API_KEY_LENGTH}, at random.",
                id="tokens.W001",
            )


def _has_secret_key() -> bool:
    try:
        return bool(django_settings.SECRET_KEY)
    except ImproperlyConfigured:
        return False
