"""What the documents tell to run, run as systemd and cron run it: with an empty environment."""

import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.servers import ROOT, Program, free_port, server_environment

DEPLOY = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
PARTS = ("bin", "chat", "chatsite", "tokens", "static", "templates")
FILES = ("manage.py", "pyproject.toml", "uv.lock")
KEYS = ("SECRET_KEY", "SIGNING_KEY_1_METHOD", "SIGNING_KEY_1_ENCODED", "API_SECRET_KEY_1")


@dataclass
class Place:
    """A copy of the code, with what the documents name in other places."""

    tree: Path
    file: Path
    port: int
    programs: Path  # `git` and `systemctl` are here, and uv

    def there(self, lines: str) -> str:
        lines = lines.replace("/srv/chatsite", str(self.tree))
        lines = lines.replace("/etc/chatsite.env", str(self.file))
        return lines.replace("--port 8000", f"--port {self.port}")

    def run(self, lines: str, path: str = "/usr/bin:/bin") -> str:
        """What it says."""
        command = ["env", "-i", f"PATH={path}", "/bin/sh", "-ec", self.there(lines)]
        outcome = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        return outcome.stdout

    def program(self, name: str, script: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.programs / name).chmod(0o755)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    tree = tmp_path / "srv"
    for part in PARTS:
        shutil.copytree(ROOT / part, tree / part)
    for file in FILES:
        shutil.copy(ROOT / file, tree)
    # `uv sync` takes out of it what only tests need; the originals stay.
    copy = f"cp -a --link {ROOT}/.venv {tree} || cp -a {ROOT}/.venv {tree}"
    subprocess.run(["sh", "-c", copy], check=True)
    env = server_environment(tmp_path)
    lines = [*(f"{name}={env[name]}" for name in KEYS), "ALLOWED_HOSTS=127.0.0.1", "HTTPS=false"]
    lines += re.findall(r"^(?:ALLOWED_ORIGINS|TOKEN_AUDIENCE)=.*$", DEPLOY, re.MULTILINE)
    file = tmp_path / "settings"
    file.write_text("\n".join([*lines, f"DATABASE_URL=sqlite:///{tmp_path / 'db.sqlite3'}"]))
    place = Place(tree, file, free_port(), tmp_path / secrets.token_hex(4))
    place.programs.mkdir()
    place.program("git", "exit 0")
    uv = shutil.which("uv", path=ROOT / ".uv" / "bin") or shutil.which("uv")
    place.program("uv", f'exec {uv} "$@"')
    return place


@pytest.fixture
def serving(place: Place, tmp_path: Path) -> Iterator[Program]:
    """By the unit's ExecStart, in its WorkingDirectory."""
    command = place.there(unit(DEPLOY, "ExecStart")).split()
    cwd = Path(place.there(unit(DEPLOY, "WorkingDirectory")))
    with Program(command, place.port, tmp_path / "log", env={}, cwd=cwd) as program:
        block(place, "uv sync", "git clone")  # static files, which it wants
        program.start(lambda: started(program) == 1)
        yield program


def unit(text: str, name: str) -> str:
    [value] = re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)
    return str(value)


def block(place: Place, *containing: str) -> str:
    """Runs the one block of commands that has these in it, in a shell of its own."""
    blocks = re.findall(r"^```sh\n(.*?)^```", DEPLOY, re.MULTILINE | re.DOTALL)
    [lines] = [each for each in blocks if all(part in each for part in containing)]
    without = re.sub("^git clone.*\n", "", lines, flags=re.MULTILINE)
    return place.run(without, f"{place.programs}:/usr/bin:/bin")


def started(program: Program) -> int:
    return program.log.read_text().count("Application startup complete")


def test_a_new_version_and_cleaning_up(place: Place, serving: Program) -> None:
    pid = serving.pid
    place.program("systemctl", f"MAINPID={pid}; {unit(DEPLOY, 'ExecReload')}")
    block(place, "uv sync", "git pull")
    assert not (place.tree / ".venv" / "bin" / "pytest").exists()
    block(place, "systemctl reload")
    deadline = time.monotonic() + 30
    while started(serving) < 2:
        assert serving.running
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert serving.pid == pid
    [cron] = re.findall(r"^\*/10 \* \* \* \*  chatsite  (.*)$", OPERATIONS, re.MULTILINE)
    for command in (cron, f"cd {place.tree}; {unit(OPERATIONS, 'ExecStart')}"):
        assert place.run(command).startswith("Removed in ")
    assert serving.stop() == 0
    assert not list(place.tree.glob("*.sqlite3"))
