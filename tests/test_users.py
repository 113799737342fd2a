"""The project's users: their tokens, and what ends with their rights (docs/django-users.md)."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from django.test import Client, RequestFactory, TestCase
from pytest_django import Settings

import chat
from chat import users
from chat.models import Restriction
from chat.testing import PublicationsMixin
from tests.support.configuring import Setter
from tokens.signing import verify

HERE = "tests.test_users"


def rules(request: HttpRequest) -> dict[str, Any]:
    return {f"user-{request.user.pk}": {"subscribe": True}}


def metadata(user: User) -> dict[str, Any]:
    return {"name": user.username}


@pytest.fixture(autouse=True)
def _ours(set_chat: Setter, settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    settings.SECURE_SSL_REDIRECT = False
    functions = {"RULES": f"{HERE}.rules", "USER_METADATA": f"{HERE}.metadata"}
    set_chat(UIDS_ARE_USERS=True, **functions)


@pytest.fixture
def jim(database: str) -> Iterator[User]:
    user = User.objects.create_user(f"jim-{secrets.token_hex(4)}", password="old")
    yield user
    User.objects.filter(username=user.username).delete()


def revocations(uid: object) -> int:
    return Restriction.objects.revocations().filter(uid=str(uid)).count()


# --- tokens -------------------------------------------------------------------------------------


def test_a_token_is_for_the_user_of_a_request(jim: User) -> None:
    request = RequestFactory().get("/")
    request.user = jim
    token = chat.tokens_for(request, channels={"news": {"subscribe": True}}, keepAlive=True)
    claims = json.loads(verify(token, scope="connect", now=time.time()).payload)
    assert claims["exp"] == claims.pop("iat") + 300
    del claims["exp"]
    assert claims == {
        "scope": "connect",
        "uid": str(jim.pk),
        "umd": {"name": jim.username},
        "channels": {"news": {"subscribe": True}},
        "keepAlive": True,
    }


def test_there_is_none_for_nobody(jim: User) -> None:
    request = RequestFactory().get("/")
    jim.is_active = False
    for user in (AnonymousUser(), jim):
        request.user = user
        with pytest.raises(PermissionDenied):
            chat.tokens_for(request, channels={})


def asked(client: Client, **headers: str) -> Any:
    return client.post("/token", headers=headers)


def test_the_view_issues_by_the_projects_rules(jim: User, set_chat: Setter) -> None:
    client = Client()
    refused = asked(client)
    assert refused.status_code == 401
    assert refused.json()["error"]["message"] == "Nobody is logged in."
    client.force_login(jim)
    answer = asked(client)
    assert "no-store" in answer.headers["Cache-Control"]
    claims = verify(answer.json()["token"], scope="connect", now=time.time())
    assert claims.uid == str(jim.pk)
    assert json.loads(claims.payload)["channels"] == {f"user-{jim.pk}": {"subscribe": True}}
    assert client.get("/token").status_code == 405
    set_chat(RULES="")
    assert asked(client).status_code == 404


def test_a_project_that_sends_who_is_not_logged_in_to_a_page_gets_json(settings: Settings) -> None:
    required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, required]
    assert asked(Client()).json()["error"]["message"] == "Nobody is logged in."


def test_pages_of_others_get_none(jim: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(jim)
    assert asked(client).status_code == 403


@pytest.mark.parametrize("name", ["no.such.module", f"{HERE}.HERE"])
def test_what_cannot_be_called_is_told(name: str, set_chat: Setter) -> None:
    assert users.functions() == []
    set_chat(RULES=name)
    [problem] = users.functions()
    assert name in problem.msg


# --- what ends ----------------------------------------------------------------------------------


def log_out(user: User) -> None:
    client = Client()
    client.force_login(user)
    client.logout()


def deactivate(user: User) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def change_password(user: User) -> None:
    user.set_password("new")
    user.save()


ENDS: list[Callable[[User], object]] = [log_out, deactivate, change_password, User.delete]


@pytest.mark.parametrize("end", ENDS)
def test_tokens_end_with_the_right_to_have_them(jim: User, end: Callable[[User], object]) -> None:
    uid = jim.pk
    end(jim)
    assert revocations(uid) == 1
    [row] = Restriction.objects.revocations().filter(uid=str(uid))
    assert (row.expires_at is not None) is (end is log_out)


def change_name(user: User) -> None:
    user.first_name = "Jim"
    user.save()


def activate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)
    user.save()


def log_in(user: User) -> None:
    Client().force_login(user)


@pytest.mark.parametrize("keep", [change_name, activate, log_in])
def test_what_takes_no_right_ends_nothing(jim: User, keep: Callable[[User], object]) -> None:
    keep(jim)
    assert revocations(jim.pk) == 0


def test_it_ends_with_the_commit(jim: User) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        deactivate(jim) or 1 / 0
    assert revocations(jim.pk) == 0
    jim.refresh_from_db()
    with transaction.atomic():
        deactivate(jim)
        assert revocations(jim.pk) == 0
    assert revocations(jim.pk) == 1


def test_where_uids_are_no_users_nothing_ends(jim: User, set_chat: Setter) -> None:
    set_chat(UIDS_ARE_USERS=False)
    uid = jim.pk
    for end in ENDS:
        end(jim)
    assert revocations(uid) == 0


class TestInTransaction(PublicationsMixin, TestCase):
    def test_callbacks_of_a_commit_come_to_an_end(self) -> None:
        jim = User.objects.create_user("jim")
        with self.captureOnCommitCallbacks(execute=True):
            deactivate(jim)
        assert revocations(jim.pk) == 1


def test_an_unknown_attribute_of_the_package_is_told() -> None:
    with pytest.raises(AttributeError, match="tokens_of"):
        _ = chat.tokens_of  # type: ignore[attr-defined]
