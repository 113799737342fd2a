"""Who guesses passwords of the admin is stopped; who logged in from an address before is not."""

import asyncio
import secrets
from collections.abc import Iterator

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings

from chatsite import login

LOGIN = "/admin/login/"
OWNER = "192.0.2.1"


@pytest.fixture(autouse=True)
def hashed(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> list[str]:
    """The names whose passwords were hashed, quickly."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.SECURE_SSL_REDIRECT = False
    monkeypatch.setattr(login, "DELAY_SECONDS", 0)
    names: list[str] = []
    authenticate = ModelBackend.authenticate

    def count(backend: ModelBackend, request: object, name: str, *rest: object) -> object:
        names.append(name)
        return authenticate(backend, request, name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(ModelBackend, "authenticate", count)
    return names


@pytest.fixture
def owner(database: str) -> Iterator[str]:
    name = f"owner-{secrets.token_hex(4)}"
    user = User.objects.create_superuser(name, password="the right one")
    yield name
    user.delete()


def status(name: str, password: str, address: str) -> int:
    """What a try to log in is answered: 302 where it succeeds."""
    form = {"username": name, "password": password}
    answered = Client(REMOTE_ADDR=address).post(LOGIN, form)
    assert (answered.status_code == 429) is ("Retry-After" in answered.headers)
    return answered.status_code


def test_an_account_is_closed_to_addresses_that_it_is_not_known_from(
    owner: str, settings: Settings, hashed: list[str]
) -> None:
    assert status(owner, "the right one", OWNER) == 302
    for number in range(settings.AXES_FAILURE_LIMIT):
        status(owner, "a guess", f"198.51.100.{number}")
    tried = len(hashed)
    for address in ("198.51.100.1", "203.0.113.1"):
        assert status(owner, "the right one", address) == 429
    assert len(hashed) == tried
    assert status(owner, "the right one", OWNER) == 302


def test_an_address_is_closed_to_other_names(
    owner: str, settings: Settings, hashed: list[str]
) -> None:
    """By its /64. Who is known there is not concerned, and who guesses there is."""
    home = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}"
    assert status(owner, "the right one", f"{home}::1") == 302
    for number in range(settings.AXES_FAILURE_LIMIT):
        status(f"name-{number}", "a guess", f"{home}::{number}")
    tried = len(hashed)
    assert status("another", "a guess", f"{home}::99") == 429
    assert len(hashed) == tried
    assert status(owner, "the right one", f"{home}::2") == 302
    for _ in range(settings.AXES_FAILURE_LIMIT):
        status(owner, "a guess", f"{home}::3")
    assert status(owner, "the right one", f"{home}::1") == 429


def test_a_failure_keeps_nothing_of_the_page_that_was_wanted(database: str) -> None:
    """Its filters may name somebody who is erased later."""
    name, wanted = f"name-{secrets.token_hex(4)}", "/admin/chat/message/?uid=eve"
    form = {"username": name, "password": "a guess", "next": wanted}
    Client(REMOTE_ADDR="192.0.2.9").post(LOGIN, form, query_params={"next": wanted})
    attempt = AccessAttempt.objects.get(username=name)
    assert "eve" not in f"{attempt.get_data} {attempt.post_data} {attempt.path_info}"


def test_one_password_is_hashed_at_a_time(
    owner: str, monkeypatch: pytest.MonkeyPatch, hashed: list[str]
) -> None:
    monkeypatch.setattr(login, "HASH_SECONDS", 0)
    with login._hashing:
        assert status(owner, "the right one", OWNER) == 429
    assert hashed == []
    assert status(owner, "the right one", OWNER) == 302  # it was no failure


async def test_few_try_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an address, and of all; each refusal is sent late."""
    until = asyncio.Event()

    async def view(request: object) -> HttpResponse:
        await until.wait()
        return HttpResponse()

    respond = login.middleware(view)

    def attempt(host: int) -> asyncio.Task[HttpResponse]:
        request = RequestFactory().post(LOGIN, REMOTE_ADDR=f"192.0.2.{host}")
        return asyncio.ensure_future(respond(request))  # type: ignore[arg-type]

    hosts = login.TRIES // login.TRIES_OF_ADDRESS
    let_in = [attempt(host) for host in range(hosts) for _ in range(login.TRIES_OF_ADDRESS)]
    assert (await attempt(0)).status_code == 429
    assert (await attempt(hosts)).status_code == 429
    until.set()
    assert {(await each).status_code for each in let_in} == {200}
    assert not login._tries
    assert (await attempt(0)).status_code == 200
