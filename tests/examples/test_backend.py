"""What the examples' backends take from `.env` and from the environment."""

import base64
import os
import shutil
import subprocess
from pathlib import Path

import jwt
import pytest

from tests.support import forked
from tests.support.servers import ROOT

SECRETS = [letter * 64 for letter in (b"a", b"b")]
KEYS = [base64.b64encode(secret).decode() for secret in SECRETS]
NAMES = ("SIGNING_KEY_1_METHOD", "SIGNING_KEY_1_ENCODED", "API_SECRET_KEY_1", "CHAT_URL", "PORT")


def run(directory: Path, code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs it where a copy of the backend is all there is, beside what may be a `.env`."""
    (directory / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "backend.py", directory / "examples")
    rest = {name: value for name, value in os.environ.items() if name not in NAMES}
    script = f"from examples.backend import *; {code}"
    return forked.run(["-c", script], cwd=directory, env={**rest, **env})


@pytest.mark.parametrize(
    ("env", "secret"),
    [({}, 0), ({"SIGNING_KEY_1_ENCODED": KEYS[1]}, 1), ({"SIGNING_KEY_1_ENCODED": ""}, 0)],
    ids=[".env", "the environment before it", "but not what is empty"],
)
def test_where_the_keys_come_from(tmp_path: Path, env: dict[str, str], secret: int) -> None:
    dotenv = f"DEBUG=true\n\nSIGNING_KEY_1_METHOD=HS512\nSIGNING_KEY_1_ENCODED={KEYS[0]}\n"
    (tmp_path / ".env").write_text(dotenv)
    outcome = run(tmp_path, "print(token('connect', uid='ada')['token'])", **env)
    claims = jwt.decode(outcome.stdout.strip(), SECRETS[secret], algorithms=["HS512"])
    assert (claims["scope"], claims["uid"]) == ("connect", "ada")


def test_without_keys_it_says_what_to_do(tmp_path: Path) -> None:
    outcome = run(tmp_path, "serve(Path(), 9001, {})", SIGNING_KEY_1_METHOD="HS256")
    assert (outcome.returncode, outcome.stderr) == (
        1,
        "Please run `make setup` first, or set SIGNING_KEY_1_ENCODED, API_SECRET_KEY_1.\n",
    )
