"""Static files: few, compressed and under hashed names in service; current and compressed in
development."""

import re
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from chat.http.builds import DIST, is_current
from tests.support.browser import browser, open_page
from tests.support.servers import ROOT, Server, production, start_server

__all__ = ["browser", "open_page"]

CLIENT = "/static/chat/client/index.js"
IMPORT = re.compile(r"""(?:from|import)\s*["']([^"']+)["']""")
LINKED = re.compile(r"""(?:src|href)="(/static/[^"]+)\"""")
HASHED = re.compile(r"\.[0-9a-f]{12}\.\w+$")
BROWSER = {"accept-encoding": "gzip, deflate, br"}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`manage.py serve` without DEBUG."""
    directory: Path = tmp_path_factory.mktemp("production")
    with start_server("uvicorn", directory, DEMO="true", **production()) as server:
        yield server


@pytest.fixture(params=["server", "deployed"], ids=["development", "service"])
def either(request: pytest.FixtureRequest) -> Server:
    running: Server = request.getfixturevalue(request.param)
    return running


# --- the page -----------------------------------------------------------------------------------

MAX_REQUESTS = 12
MAX_BYTES = 35 * 1024


@pytest.mark.asyncio(loop_scope="session")
async def test_the_page_makes_few_requests_of_few_bytes(
    open_page: Callable[..., Awaitable[Page]], either: Server
) -> None:
    page = await open_page()
    network = await page.context.new_cdp_session(page)
    asked: list[str] = []
    taken: dict[str, float] = {}
    network.on("Network.requestWillBeSent", lambda event: asked.append(event["requestId"]))
    network.on("Network.webSocketCreated", lambda event: taken.setdefault(event["requestId"], 0))
    network.on("Network.loadingFinished", lambda event: taken.update(_length(event)))
    await network.send("Network.enable")
    await page.goto(either.url)
    await expect(page.locator("[data-phase=live] [role=log][aria-busy=false]")).to_have_count(2)
    await page.wait_for_load_state("networkidle")
    resources = await page.evaluate("performance.getEntriesByType('resource').length")
    assert {*asked} <= taken.keys()
    assert resources <= len(taken) <= MAX_REQUESTS
    assert 0 < sum(taken.values()) <= MAX_BYTES, taken


def _length(event: dict[str, Any]) -> dict[str, float]:
    return {event["requestId"]: event["encodedDataLength"]}


def test_what_the_page_loads_is_compressed(either: Server) -> None:
    with httpx.Client(headers=BROWSER) as client:
        page = client.get(either.url)
        files = [client.get(either.url + path) for path in LINKED.findall(head(page.text))]
    assert len(files) > 2
    for each in (page, *files):
        assert each.headers["content-encoding"] == "br"
        assert "accept-encoding" in each.headers["vary"].lower()


def head(page: str) -> str:
    return page.partition("</head>")[0]


def modules(page: str, base: str, client: httpx.Client) -> dict[str, httpx.Response]:
    """Every module that the page loads, directly or by import, by its path."""
    found: dict[str, httpx.Response] = {}
    waiting = [httpx.URL(base).join(src) for src in re.findall(r'src="([^"]+\.js)"', page)]
    while waiting:
        url = waiting.pop()
        if url.path not in found:
            found[url.path] = response = client.get(url)
            waiting += [url.join(path) for path in IMPORT.findall(response.text)]
    return found


# --- in service ---------------------------------------------------------------------------------


def test_what_the_page_loads_has_a_hashed_name_and_is_kept_for_ever(deployed: Server) -> None:
    with httpx.Client() as client:
        page = client.get(deployed.url).text
        loaded = [*LINKED.findall(head(page)), *modules(page, deployed.url, client)]
        for path in loaded:
            response = client.get(deployed.url + path)
            assert response.status_code == 200, path
            assert HASHED.search(path), path
            assert "immutable" in response.headers["cache-control"]
    assert any(path.endswith(".css") for path in loaded), loaded
    assert any(path.endswith(".js") for path in loaded), loaded


@pytest.mark.parametrize("path", [CLIENT, "/static/chat/client/dist/index.js"])
def test_the_client_is_also_there_under_its_plain_name_for_other_sites(
    deployed: Server, path: str
) -> None:
    response = httpx.get(deployed.url + path, headers={"origin": "https://other.example"})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["content-type"].startswith("text/javascript")


def test_a_static_file_is_sent_compressed_and_not_at_all_to_who_has_it(either: Server) -> None:
    url = either.url + "/static/admin/css/base.css"
    first = httpx.get(url, headers={"accept-encoding": "gzip"})
    again = httpx.get(url, headers={"if-none-match": first.headers["etag"], **BROWSER})
    assert first.headers["content-encoding"] == "gzip"
    assert "{" in first.text
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/static/chat/none.js", "/static/../manage.py", "/static/"])
def test_what_is_no_static_file_is_not_found(deployed: Server, path: str) -> None:
    assert httpx.get(deployed.url + path).status_code == 404


# --- in development -----------------------------------------------------------------------------


def test_a_head_request_names_the_length_and_sends_nothing(server: Server) -> None:
    whole = httpx.get(server.url + CLIENT, headers={"accept-encoding": "identity"})
    head = httpx.head(server.url + CLIENT)
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.content == b""


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server in development whose page was changed since it was built."""
    directory = tmp_path_factory.mktemp("changed")
    for part in ("chat", "tokens", "templates"):
        (directory / part).symlink_to(ROOT / part)
    for part in ("chatsite", "static"):
        shutil.copytree(ROOT / part, directory / part)
    shutil.copy(ROOT / "manage.py", directory)
    with (directory / "static/chat/demo/main.js").open("a") as source:
        source.write("// changed\n")
    with start_server("uvicorn", directory, code=directory) as server:
        yield server


def test_sources_that_changed_are_served_as_they_are(changed: Server) -> None:
    with httpx.Client() as client:
        loaded = modules(client.get(changed.url).text, changed.url, client)
    assert loaded["/static/chat/demo/main.js"].text.endswith("// changed\n")
    assert CLIENT in loaded
    assert {response.status_code for response in loaded.values()} == {200}


def test_a_build_of_sources_that_changed_is_not_served(changed: Server) -> None:
    for path, status in (("client/dist/index.js", 200), ("demo/dist/main.js", 404)):
        assert httpx.get(f"{changed.url}/static/chat/{path}").status_code == status


@pytest.mark.parametrize("change", ["source", "new source", "build", "no build"])
def test_a_build_is_current_until_it_or_a_source_changes(tmp_path: Path, change: str) -> None:
    static = tmp_path / "static"
    shutil.copytree(ROOT / "static", static)
    page = static / "chat/demo"
    assert is_current(static, page / DIST / "main.js")
    changes = {
        "source": lambda: (static / "chat/client/frames.js").write_text(""),
        "new source": lambda: (page / "new.js").touch(),
        "build": lambda: (page / DIST / "main.js.map").write_text("{}"),
        "no build": lambda: (page / DIST / "digest").unlink(),
    }
    changes[change]()
    assert not is_current(static, page / DIST / "main.js")
