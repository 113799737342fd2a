"""The HTTP API's short way through the site: what surrounds every answer surrounds its answers."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.servers import Server, start_server

CALLS = ("/connection/listMessages", "/connection/nothing", "/publish", "/publishing", "/channels")
OWN = {
    *("access-control-allow-origin", "access-control-expose-headers", "allow", "content-length"),
    "content-security-policy",
    *("content-encoding", "content-type", "date", "vary", "www-authenticate", "x-frame-options"),
}
BY_TLS = {"x-forwarded-proto": "https", "origin": "https://app.example.org"}


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    env = {} if request.param == "daphne" else {"HTTPS": "true"}
    directory = tmp_path_factory.mktemp("doors")
    with start_server(request.param, directory, ALLOWED_HOSTS="127.0.0.1", **env) as server:
        yield server


def named(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in OWN}


@pytest.mark.parametrize("path", CALLS)
def test_an_answer_has_the_headers_of_the_page(site: Server, path: str) -> None:
    answer = httpx.post(f"{site.url}{path}", headers=BY_TLS)
    page = httpx.get(site.url, headers=BY_TLS)
    assert answer.status_code in {401, 404, 405}
    assert "x-content-type-options" in answer.headers
    if answer.headers["content-type"] == "application/json":  # else Django's, while debugging
        assert named(answer) == named(page)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == ("*" if path.startswith("/connection/") else None)
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize("path", CALLS)
def test_a_host_that_is_not_allowed_is_refused(site: Server, path: str) -> None:
    headers = {**BY_TLS, "host": "evil.example.org"}
    answer = httpx.post(f"{site.url}{path}", headers=headers)
    elsewhere = httpx.post(f"{site.url}/elsewhere", headers=headers)
    assert (answer.status_code, elsewhere.status_code) == (400, 400)
    assert named(answer) == named(elsewhere)


def test_a_browser_elsewhere_may_ask_first(site: Server) -> None:
    asking = {**BY_TLS, "access-control-request-method": "POST"}
    answer = httpx.options(f"{site.url}/connection/listMessages", headers=asking)
    assert answer.status_code == 200
    assert "POST" in answer.headers["access-control-allow-methods"]


def test_plain_http_is_sent_to_https(tmp_path_factory: pytest.TempPathFactory) -> None:
    with start_server("uvicorn", tmp_path_factory.mktemp("plain"), HTTPS="true") as server:
        answer = httpx.post(f"{server.url}/connection/listMessages?a=1")
    assert answer.status_code == 301
    assert answer.headers["location"].startswith("https://127.0.0.1:")
