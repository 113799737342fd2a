"""Behind a proxy that ends TLS, browsers are kept on https."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.servers import Server, start_server

BY_TLS = {"x-forwarded-proto": "https"}


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server("uvicorn", tmp_path_factory.mktemp("https"), HTTPS="true") as server:
        yield server


def test_plain_http_is_sent_to_https(behind_proxy: Server) -> None:
    answer = httpx.get(f"{behind_proxy.url}/?a=1")
    assert answer.status_code == 301
    assert answer.headers["location"] == f"https://127.0.0.1:{behind_proxy.port}/?a=1"


def test_https_is_served_and_asked_for_from_now_on(behind_proxy: Server) -> None:
    answer = httpx.get(behind_proxy.url, headers=BY_TLS)
    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"] == "max-age=2592000"


def test_cookies_are_for_https_alone(behind_proxy: Server) -> None:
    answer = httpx.get(f"{behind_proxy.url}/admin/login/", headers=BY_TLS)
    assert "; Secure" in answer.headers["set-cookie"]


def test_a_proxy_that_is_not_named_is_not_believed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("strangers")
    env = {"HTTPS": "true", "FORWARDED_ALLOW_IPS": "192.0.2.1"}
    with start_server("uvicorn", directory, **env) as server:
        assert httpx.get(server.url, headers=BY_TLS).status_code == 301
