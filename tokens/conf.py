"""This app's settings: `TOKENS = {...}` in Django's settings; each key has a default.

A value has the type of its setting, or is text, as from an environment variable; empty text means
the default. A malformed value is replaced by the default, and the system checks report it.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final, NamedTuple, cast, get_args, get_type_hints

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.crypto import salted_hmac
from msgspec import Meta, ValidationError, convert

Flag = Annotated[bool, Meta(description="true or false")]
Text = Annotated[str, Meta(description="text")]
Words = Annotated[tuple[str, ...], Meta(description="a list of words")]
FromZero = Annotated[int, Meta(ge=0, description="a whole number from 0 up")]
FromOne = Annotated[int, Meta(ge=1, description="a whole number from 1 up")]

Fill = Callable[[dict[str, Any]], dict[str, Any]]

FLAGS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}


# --- reading ------------------------------------------------------------------------------------


class Conf[T]:
    """The settings of one app, with the attributes of `current()`.

    Reads the dict `name` of Django's settings at first use, and again when a test has replaced it.
    `fill` adds to what is set.
    """

    def __init__(self, name: str, kind: type[T], fill: Fill = dict) -> None:
        self._name, self._kind, self._fill = name, kind, fill
        setting_changed.connect(self._forget)

    def __getattr__(self, key: str) -> object:
        value: object = getattr(self.current(), key)
        vars(self)[key] = value  # found without this method from now on
        return value

    def current(self) -> T:
        return self._values[0]

    def problems(self) -> list[str]:
        """A sentence for each key that is unknown or malformed."""
        return self._values[1]

    @cached_property
    def _values(self) -> tuple[T, list[str]]:
        given: object = getattr(django_settings, self._name, None)
        return read(self._kind, self._name, {} if given is None else given, self._fill)

    def _forget(self, *, setting: str, **kwargs: object) -> None:
        if setting == self._name:
            for key in vars(self).keys() - {"_name", "_kind", "_fill"}:
                del vars(self)[key]


def read[T](kind: type[T], name: str, given: object, fill: Fill = dict) -> tuple[T, list[str]]:
    """The settings in the dict `given`, and a sentence for each unknown or malformed key, without
    its value, which may be a secret."""
    if not isinstance(given, Mapping):
        return kind(), [f"{name} must be a dict."]
    types = get_type_hints(kind, include_extras=True)
    values, problems = {}, []
    for key, value in given.items():
        try:
            if key not in types:
                problems.append(f"{name} has an unknown key: {key}.")
            elif value != "":
                values[key] = parse(value, types[key])
        except ValueError as error:
            problems.append(f"{key} must be {error}.")
    return kind(**fill(values)), problems


def parse(value: object, kind: object) -> object:
    """The value as `kind`. Raises ValueError, which says what the value must be."""
    if isinstance(value, str) and kind is Flag:
        value = FLAGS.get(value.lower(), value)
    elif isinstance(value, str) and kind is Words:
        value = [word.strip() for word in value.split(",") if word.strip()]
    try:
        return convert(value, type=kind, strict=False)
    except ValidationError:
        raise ValueError(get_args(kind)[1].description) from None


# --- the settings -------------------------------------------------------------------------------


class KeySettings(NamedTuple):
    """One signing key as configured; empty strings where it is not."""

    method: str
    id: str
    encoded: str

    @property
    def present(self) -> bool:
        return bool(self.method or self.encoded)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenSettings:
    DEMO: Flag = False
    """Whether `POST /tokens` issues the demo's tokens, and the chat page is served."""

    SIGNING_KEY_1_METHOD: Text = ""
    """The JWS algorithm of the key that verifies and signs, such as HS256; "": no key."""
    SIGNING_KEY_1_ID: Text = ""
    """The `kid` that tokens must name; "": any or none."""
    SIGNING_KEY_1_ENCODED: Text = ""
    """Base64 of the secret or of the PEM public key."""
    SIGNING_KEY_2_METHOD: Text = ""
    """As for key 1. The second key only verifies, for the time of a key rotation."""
    SIGNING_KEY_2_ID: Text = ""
    SIGNING_KEY_2_ENCODED: Text = ""
    ISSUER_PRIVATE_KEY_ENCODED: Text = ""
    """Base64 of the PEM private key that signs, where key 1 is a public key."""

    TOKEN_AUDIENCE: Text = ""
    """What tokens must carry as `aud`; "": anything or nothing."""
    TOKEN_ISSUER: Text = ""
    """What tokens must carry as `iss`; "": anything or nothing."""
    TOKEN_LEEWAY_SECONDS: FromZero = 0
    """How many seconds a token is accepted before its `nbf` and after its `exp`; from 0 up."""
    TOKEN_MAX_SECONDS: FromZero = 0
    """How many seconds a token may live at most, from its `iat` or, without one, from now on; 0:
    any number."""

    API_SECRET_KEY_1: Text = ""
    """A key of the server HTTP API; "": no key."""
    API_SECRET_KEY_2: Text = ""
    """A second one, for the time of a key rotation."""

    @property
    def keys(self) -> tuple[KeySettings, KeySettings]:
        """The signing keys."""
        first = self.SIGNING_KEY_1_METHOD, self.SIGNING_KEY_1_ID, self.SIGNING_KEY_1_ENCODED
        second = self.SIGNING_KEY_2_METHOD, self.SIGNING_KEY_2_ID, self.SIGNING_KEY_2_ENCODED
        return KeySettings(*first), KeySettings(*second)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys as configured, empty strings where they are not: they belong in no log."""
        private = self.ISSUER_PRIVATE_KEY_ENCODED, self.API_SECRET_KEY_1, self.API_SECRET_KEY_2
        return (*private, *(key.encoded for key in self.keys))


def with_development(given: dict[str, Any]) -> dict[str, Any]:
    """With DEBUG nothing must be set: the demo is on, and keys that are not given are made of
    SECRET_KEY, the same in each process."""
    if not django_settings.DEBUG:
        return given
    made: dict[str, Any] = {"DEMO": True}
    try:
        django_settings.SECRET_KEY  # noqa: B018
    except ImproperlyConfigured:  # the checks say that there is none
        return made | given
    if not any("SIGNING_KEY" in name for name in given):
        secret = b64encode(_made("tokens.SIGNING_KEY_1")).decode()
        made |= {"SIGNING_KEY_1_METHOD": "HS256", "SIGNING_KEY_1_ENCODED": secret}
    if not any("API_SECRET_KEY" in name for name in given):
        made["API_SECRET_KEY_1"] = _made("tokens.API_SECRET_KEY_1").hex()
    return made | given


def _made(salt: str) -> bytes:
    return salted_hmac(salt, "", algorithm="sha512").digest()


conf = Conf("TOKENS", TokenSettings, with_development)
settings = cast("TokenSettings", conf)
