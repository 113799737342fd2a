from collections.abc import Callable
from typing import Any

import pytest

from tests.tokens.material import Pair, pair


@pytest.fixture
def configure(settings: Any) -> Callable[..., None]:
    """Sets the signing keys: up to two pairs, each perhaps with an id."""

    def configure(*pairs: Pair, ids: tuple[str, str] = ("", ""), private: str = "") -> None:
        for number in (1, 2):
            key = pairs[number - 1] if number <= len(pairs) else None
            setattr(settings, f"SIGNING_KEY_{number}_METHOD", key.method if key else "")
            setattr(settings, f"SIGNING_KEY_{number}_ID", ids[number - 1])
            setattr(settings, f"SIGNING_KEY_{number}_ENCODED", key.encoded if key else "")
        settings.ISSUER_PRIVATE_KEY_ENCODED = private

    return configure


@pytest.fixture
def signer() -> Pair:
    """The signing key that is configured unless a test configures another."""
    return pair("HS256")


@pytest.fixture(autouse=True)
def signing(settings: Any, configure: Callable[..., None], signer: Pair) -> None:
    settings.SECRET_KEY = "k" * 64
    settings.DEBUG = settings.DEMO = True
    settings.SECURE_SSL_REDIRECT = False
    settings.ALLOWED_HOSTS = ["*"]
    settings.API_SECRET_KEY_1 = "a" * 48
    settings.API_SECRET_KEY_2 = ""
    settings.TOKEN_AUDIENCE = settings.TOKEN_ISSUER = ""
    settings.TOKEN_LEEWAY_SECONDS = 0
    configure(signer)
