"""System checks: settings and keys that are missing, malformed or weak, and how to correct them.

A missing key, and a weak SECRET_KEY, fails `check --deploy` and `serve`, but neither
`makemigrations` on a fresh checkout nor a project's tests; any other key that is set but wrong
fails every check.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

from tokens.conf import KeySettings, conf, settings
from tokens.keys import METHODS, KeyProblem, is_guessable, load_signing, load_verifying

HERE = Path(__file__).resolve().parent.parent
MIN_SECRET_LENGTH: Final = 32  # characters
DEMO_IS_OPEN: Final = (
    "The demo is switched on (DEMO): anybody can read and write every channel whose name begins"
    " with `chat-`."
)
SET_IT = "Run `make setup` for development keys, or set it in the environment."
CORRECT_IT = "Correct it in `.env` or in the environment."


def hidden_problem() -> str:
    """Whether an app `chat` of the project's own hides the server's, which is beside this one."""
    found = find_spec("chat")
    folders = found.submodule_search_locations if found else None
    others = [folder for folder in folders or () if Path(folder).resolve().parent != HERE]
    if not (others and apps.is_installed("chat")):
        return ""
    return (
        f"The project's own app `chat` ({others[0]}) hides the chat server's: rename the folder and"
        " its label, or do not name `chat` and `tokens` in INSTALLED_APPS."
    )


def key_problems() -> list[str]:
    """Why this site cannot serve, one sentence for each problem."""
    return [*conf.problems(), *_missing(), *_weak_site(), *_wrong()]


@register(Tags.compatibility)
def check_settings(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    return [Error(problem, id="tokens.E003") for problem in conf.problems()]


@register(Tags.security)
def check_stated_keys(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    return [Error(problem, id="tokens.E001") for problem in _wrong()]


@register(Tags.security, deploy=True)
def check_secret_key(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    """Not in every check: Django's test runner switches DEBUG off, and then checks."""
    return [Error(problem, id="tokens.E001") for problem in _weak_site()]


@register(Tags.security, deploy=True)
def check_missing_keys(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    return [Error(problem, id="tokens.E002") for problem in _missing()]


@register(Tags.security, deploy=True)
def check_addressee(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    """A token of another service that has the same key is not for us."""
    if settings.TOKEN_AUDIENCE or settings.TOKEN_ISSUER:
        return []
    problem = "Neither TOKEN_AUDIENCE nor TOKEN_ISSUER says what tokens must carry as aud or iss."
    return [Error(problem, id="tokens.E004")]


@register(Tags.security, deploy=True)
def check_demo(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    return [Error(DEMO_IS_OPEN, id="tokens.E005")] if settings.DEMO else []


def _missing() -> Iterator[str]:
    """What is required and not set."""
    if not _secret_key():
        yield f"SECRET_KEY is empty. {SET_IT}"
    if not any(key.present for key in settings.keys):
        yield f"SIGNING_KEY_1_METHOD and SIGNING_KEY_1_ENCODED are empty. {SET_IT}"
    if not (settings.API_SECRET_KEY_1 or settings.API_SECRET_KEY_2):
        yield f"API_SECRET_KEY_1 is empty. {SET_IT}"


def _weak_site() -> Iterator[str]:
    if not django_settings.DEBUG:  # else it is `startproject`'s, for this machine alone
        yield from _weak("SECRET_KEY", _secret_key())


def _wrong() -> Iterator[str]:
    """What is set but does not work, or is no secret."""
    for name in ("API_SECRET_KEY_1", "API_SECRET_KEY_2"):
        yield from _weak(name, getattr(settings, name))
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


def _weak(name: str, secret: str) -> Iterator[str]:
    if 0 < len(secret) < MIN_SECRET_LENGTH:
        what = f"has {len(secret)} characters: use at least {MIN_SECRET_LENGTH}"
        yield f"{name} {what}, drawn at random. {CORRECT_IT}"
    elif secret and is_guessable(secret.encode()):
        yield f"{name} is easy to guess: it must be drawn at random. {CORRECT_IT}"


def _secret_key() -> str:
    try:
        return str(django_settings.SECRET_KEY)
    except ImproperlyConfigured:
        return ""
