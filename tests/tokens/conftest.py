import secrets
from collections.abc import Callable

import pytest
from pytest_django import Settings

from tests.support.configuring import Setter
from tests.tokens.material import Pair, pair


@pytest.fixture
def configure(set_tokens: Setter) -> Callable[..., None]:
    """Sets the signing keys: up to two pairs, each perhaps with an id."""

    def configure(*pairs: Pair, ids: tuple[str, str] = ("", ""), private: str = "") -> None:
        for number in (1, 2):
            key = pairs[number - 1] if number <= len(pairs) else None
            method, encoded = (key.method, key.encoded) if key else ("", "")
            values = {"METHOD": method, "ID": ids[number - 1], "ENCODED": encoded}
            set_tokens(**{f"SIGNING_KEY_{number}_{part}": text for part, text in values.items()})
        set_tokens(ISSUER_PRIVATE_KEY_ENCODED=private)

    return configure


@pytest.fixture
def signer() -> Pair:
    """The signing key that is configured unless a test configures another."""
    return pair("HS256")


@pytest.fixture(autouse=True)
def signing(
    settings: Settings, set_tokens: Setter, configure: Callable[..., None], signer: Pair
) -> None:
    settings.SECRET_KEY = secrets.token_urlsafe(48)
    settings.DEBUG = False  # no key is made
    settings.SECURE_SSL_REDIRECT = False
    settings.ALLOWED_HOSTS = ["*"]
    set_tokens(DEMO=True, API_SECRET_KEY_1=secrets.token_urlsafe(32), API_SECRET_KEY_2="")
    set_tokens(TOKEN_AUDIENCE="", TOKEN_ISSUER="", TOKEN_LEEWAY_SECONDS=0, TOKEN_MAX_SECONDS=0)
    configure(signer)
