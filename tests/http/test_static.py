"""Static files: under hashed names in service, plain in development."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.servers import Server, production, start_server

CLIENT = "/static/chat/client/index.js"
IMPORT = re.compile(r"""(?:from|import)\s*["']([^"']+)["']""")
HASHED = re.compile(r"\.[0-9a-f]{12}\.\w+$")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`manage.py serve` without DEBUG."""
    directory: Path = tmp_path_factory.mktemp("production")
    with start_server("uvicorn", directory, DEMO="true", **production(directory)) as server:
        yield server


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


def test_every_module_of_the_page_has_a_hashed_name_and_is_kept_for_ever(
    deployed: Server,
) -> None:
    with httpx.Client() as client:
        loaded = modules(client.get(deployed.url).text, deployed.url, client)
    assert any("/chat/client/" in path for path in loaded), loaded
    for path, response in loaded.items():
        assert response.status_code == 200, path
        assert HASHED.search(path), path
        assert "immutable" in response.headers["cache-control"]


def test_the_client_is_also_there_under_its_plain_name_for_other_sites(deployed: Server) -> None:
    response = httpx.get(deployed.url + CLIENT, headers={"origin": "https://other.example"})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["content-type"].startswith("text/javascript")


def test_a_static_file_is_sent_compressed_and_not_at_all_to_who_has_it(deployed: Server) -> None:
    url = deployed.url + "/static/admin/css/base.css"
    first = httpx.get(url, headers={"accept-encoding": "gzip"})
    again = httpx.get(url, headers={"if-modified-since": first.headers["last-modified"]})
    assert first.headers["content-encoding"] == "gzip"
    assert "{" in first.text
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/static/chat/none.js", "/static/../manage.py", "/static/"])
def test_what_is_no_static_file_is_not_found(deployed: Server, path: str) -> None:
    assert httpx.get(deployed.url + path).status_code == 404


def test_names_are_plain_in_development(any_server: Server) -> None:
    with httpx.Client() as client:
        loaded = modules(client.get(any_server.url).text, any_server.url, client)
    assert CLIENT in loaded
    assert {response.status_code for response in loaded.values()} == {200}


def test_a_head_request_names_the_length_and_sends_nothing(server: Server) -> None:
    whole = httpx.get(server.url + CLIENT)
    head = httpx.head(server.url + CLIENT)
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.content == b""
