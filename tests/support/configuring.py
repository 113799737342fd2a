"""Settings of the apps, for one test: what the fixtures `set_chat` and `set_tokens` are."""

from collections.abc import Callable

from pytest_django import Settings

Setter = Callable[..., None]


def setter(settings: Settings, app: str) -> Setter:
    """Sets the keys that it is called with."""
    return lambda **values: setattr(settings, app, getattr(settings, app) | values)
