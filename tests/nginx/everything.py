"""`make test-nginx`: all tests of tests/wire and tests/browser, through a real nginx to two hosts.

Too long for `make test`, which takes some of them. Writes a module for each of theirs into a folder
beside this one, which git ignores, runs those and removes them. BROKER is redis or postgresql.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
TESTS: Final = HERE.parent
WRITTEN: Final = HERE / "written"
WIRE: Final = "from tests.wire.{module} import *  # noqa: F403\n"
BROWSER: Final = """import pytest

from tests.browser.conftest import browser, chat, open_chat, open_page  # noqa: F401
from tests.browser.{module} import *  # noqa: F403

pytestmark = pytest.mark.asyncio(loop_scope="session")
"""

LEFT_OUT: Final = {
    "looks into the log, the environment or the clock of the one server that it knows": (
        "wire_connected.py::test_the_secret_is_stored_only_as_a_hash",
        "wire_handshake.py::test_a_bad_token_never_gets_an_accepted_websocket",
        "wire_handshake.py::test_the_reason_is_logged",
        "wire_publish_command.py::test_a_refusal_is_one_sentence",
        "wire_server_api_python.py::test_what_is_not_stored_is_refused_in_another_process",
    ),
    "sends %00 in a path, which nginx refuses itself": (
        "wire_server_api.py::test_a_schedule_can_be_cancelled_once",
        "wire_server_api_channels.py::test_an_invalid_name_is_refused",
    ),
    "takes what one process told before for what another has in history": (
        "wire_order.py::test_what_is_published_after_subscribed_arrives",
    ),
    "comes back to another process than the one that refuses it for a moment": (
        "wire_connection.py::test_who_reads_too_slowly_is_closed_and_nobody_waits_for_it",
    ),
    "asks one process whether it has handled what went to another": (
        "wire_connection.py::test_a_secret_does_not_outlive_the_close_handshake",
    ),
}


def main(arguments: list[str]) -> int:
    shutil.rmtree(WRITTEN, ignore_errors=True)
    WRITTEN.mkdir()
    (WRITTEN / "__init__.py").touch()
    for kind, text in (("wire", WIRE), ("browser", BROWSER)):
        for path in sorted((TESTS / kind).glob("test_*.py")):
            name = f"test_{kind}_{path.stem.removeprefix('test_')}.py"
            (WRITTEN / name).write_text(text.format(module=path.stem))
    place = WRITTEN.relative_to(TESTS.parent)
    left_out = [f"--deselect={place}/test_{each}" for some in LEFT_OUT.values() for each in some]
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", str(place)]
    try:
        return subprocess.run([*command, *left_out, *arguments], check=False).returncode
    finally:
        shutil.rmtree(WRITTEN)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
