"""What is wrong with the webhook's settings is said in a sentence, without the secret in it."""

import base64
from pathlib import Path

import pytest

from chat.checks import webhook_problems
from tests.support.configuring import Setter
from tests.support.servers import manage, server_environment

FORM = "whsec_ and the Base64 of 24 to 64 bytes."
NO_HOST = "WEBHOOK_URL must be an address with a host."
MALFORMED = f"WEBHOOK_SECRET must be {FORM}"


def secret(length: int) -> str:
    return f"whsec_{base64.b64encode(b'k' * length).decode()}"


@pytest.mark.parametrize(
    ("url", "key", "sentences"),
    [
        ("", "", []),
        ("", "hunter2", []),  # a secret alone sends nothing
        ("https://user:pass@example.org:8443/hook", secret(24), []),
        ("http://example.org/", secret(64), []),
        ("https://", secret(32), [NO_HOST]),
        ("https://[", secret(32), [NO_HOST]),
        ("http://example.org:port/", secret(32), [NO_HOST]),
        ("https://example.org/", "", [f"WEBHOOK_SECRET is empty: WEBHOOK_URL needs one, {FORM}"]),
        ("https://example.org/", "hunter2", [MALFORMED]),
        ("https://example.org/", secret(32)[6:], [MALFORMED]),
        ("https://example.org/", "whsec_hunter2!", [MALFORMED]),
        ("https://example.org/", secret(23), [MALFORMED]),
        ("https://example.org/", secret(65), [MALFORMED]),
        ("https://", "hunter2", [NO_HOST, MALFORMED]),
    ],
)
def test_what_keeps_it_from_sending(
    set_chat: Setter, url: str, key: str, sentences: list[str]
) -> None:
    set_chat(WEBHOOK_URL=url, WEBHOOK_SECRET=key)
    assert webhook_problems() == sentences


@pytest.mark.parametrize("command", ["serve", "check"])
def test_each_command_says_so(tmp_path: Path, command: str) -> None:
    env = server_environment(tmp_path, WEBHOOK_URL="https://", WEBHOOK_SECRET="hunter2")
    outcome = manage(env, command)
    assert outcome.returncode == 1
    assert NO_HOST in outcome.stderr
    assert MALFORMED in outcome.stderr
    assert "hunter2" not in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_another_scheme(tmp_path: Path) -> None:
    outcome = manage(server_environment(tmp_path, WEBHOOK_URL="ftp://example.org"), "serve")
    assert "WEBHOOK_URL must be an address that begins with http or https://." in outcome.stderr
