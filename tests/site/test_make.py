"""What a newcomer types: `make help`, `make setup`, `make run`."""

import contextlib
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.support.servers import ROOT, StartError, free_port, server_environment

TARGETS = [
    *("help", "setup", "run", "build", "test", "test-faults", "test-hostile", "test-nginx"),
    *("try-django", "fuzz"),
    *(
        "lint",
        "format",
        "audit",
        "bench",
        "bench-against",
        "bench-report",
        "profile",
        "measure-code",
    ),
    "clean",
]
LIMIT_SECONDS = 30


def environment(directory: Path) -> dict[str, str]:
    """As if no other make had started these tests."""
    variables = server_environment(directory)
    return {name: value for name, value in variables.items() if not name.startswith("MAKE")}


def make(directory: Path, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=cwd,
        env=environment(directory),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def said_by_us(outcome: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines of an outcome that make itself did not write."""
    return [line for line in outcome.stderr.splitlines() if not line.startswith("make: ")]


class Terminal:
    """`make run` at a terminal; `output` is all that it has shown."""

    def __init__(self, directory: Path, port: int) -> None:
        self.output = ""
        self.fd, terminal = os.openpty()
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", "make", "run", f"PORT={port}"],
            cwd=ROOT,
            env=environment(directory),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)

    def read_until(self, text: str) -> None:
        """StartError where `text` does not come within 30 s."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while text not in self.output:
            ready, _, _ = select.select([self.fd], [], [], deadline - time.monotonic())
            if not ready:
                raise StartError(self.output)
            self.output += os.read(self.fd, 4096).decode()

    def press(self, key: bytes) -> None:
        os.write(self.fd, key)

    def end(self) -> int:
        """Its exit code; reads what it still shows."""
        with contextlib.suppress(OSError):  # Linux: nobody has the terminal open any more
            while piece := os.read(self.fd, 4096):
                self.output += piece.decode()
        os.close(self.fd)
        return self.process.wait(LIMIT_SECONDS)


def test_help_is_the_default_and_has_a_line_for_each_target(tmp_path: Path) -> None:
    outcome = make(tmp_path)
    assert re.findall(r"^make ([\w-]+) +\S", outcome.stdout, re.MULTILINE) == TARGETS


@pytest.mark.parametrize("port", ["http", "70000", "8000; echo injected"])
def test_a_wrong_port_gets_one_sentence(tmp_path: Path, port: str) -> None:
    outcome = make(tmp_path, "run", f"PORT={port}")
    assert outcome.returncode == 2
    assert said_by_us(outcome) == [
        f"CommandError: The port must be a number from 0 to 65535, not {port!r}."
    ]


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    port = free_port()
    terminal = Terminal(tmp_path, port)
    terminal.read_until("Ctrl-C ends the server.")
    assert f"http://127.0.0.1:{port}/" in terminal.output
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    terminal.press(b"\x03")
    assert terminal.end() == 0, terminal.output
    assert "Traceback" not in terminal.output
    assert "Error" not in terminal.output


def test_a_signal_to_make_alone_ends_the_server_too(tmp_path: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        ["make", "run", f"PORT={port}"],
        cwd=ROOT,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any("Ctrl-C ends the server." in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()  # until the server, too, has closed it
    assert "Traceback" not in rest
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what `make setup` needs to write keys; its environment counts as made."""
    copy = tmp_path / "copy"
    (copy / ".venv").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "bin", copy / "bin")
    (copy / ".venv" / "ready").touch()
    return copy


def test_keys_are_written_once_and_for_the_owner_alone(tmp_path: Path, checkout: Path) -> None:
    assert make(tmp_path, "setup", cwd=checkout).returncode == 0
    dotenv = checkout / ".env"
    first = dotenv.read_text()
    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o600
    assert first.startswith("DEBUG=true\n")
    assert make(tmp_path, "setup", "-B", "-o", ".venv/ready", cwd=checkout).returncode == 0
    assert dotenv.read_text() == first
    assert sorted(path.name for path in checkout.iterdir() if path.name.startswith(".env")) == [
        ".env"
    ]


def test_keys_differ_from_one_checkout_to_the_next(tmp_path: Path, checkout: Path) -> None:
    written = []
    for _ in range(2):
        make(tmp_path, "setup", cwd=checkout)
        written.append((checkout / ".env").read_text())
        (checkout / ".env").unlink()
    names = [[line.partition("=")[0] for line in text.splitlines()] for text in written]
    assert names[0] == names[1]
    secrets = [{line.partition("=")[2] for line in text.splitlines()} for text in written]
    assert secrets[0] & secrets[1] == {"true", "HS256"}
