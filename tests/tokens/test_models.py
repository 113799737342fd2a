from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from tokens.models import UsedToken

SOON = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("jti", ["", "a", "é💬", "x" * 60_000])
def test_a_digest_has_64_digits(jti: str) -> None:
    assert len(UsedToken.digest(jti)) == 64
    assert UsedToken.digest(jti) != UsedToken.digest(f"{jti} ")


@pytest.mark.django_db
def test_a_jti_is_used_once() -> None:
    UsedToken.objects.create(id=UsedToken.digest("j"), expires_at=SOON)
    with pytest.raises(IntegrityError), transaction.atomic():
        UsedToken.objects.create(id=UsedToken.digest("j"), expires_at=SOON)
    assert UsedToken.objects.count() == 1


@pytest.fixture
def admin_client(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="p"))
    return client


def test_the_admin_shows_used_tokens(admin_client: Client) -> None:
    row = UsedToken.objects.create(id=UsedToken.digest("j"), expires_at=SOON)
    listed = admin_client.get(reverse("admin:tokens_usedtoken_changelist"))
    shown = admin_client.get(reverse("admin:tokens_usedtoken_change", args=[row.pk]))
    assert row.pk.encode() in listed.content
    assert row.pk.encode() in shown.content


@pytest.mark.parametrize("page", ["add", "change", "delete"])
def test_the_admin_changes_none(page: str, admin_client: Client) -> None:
    row = UsedToken.objects.create(id=UsedToken.digest("j"), expires_at=SOON)
    args: list[Any] = [] if page == "add" else [row.pk]
    address = reverse(f"admin:tokens_usedtoken_{page}", args=args)
    response = admin_client.post(address, {"id": "x", "expires_at_0": "2100-01-01", "post": "yes"})
    assert response.status_code == 403
    assert [used.pk for used in UsedToken.objects.all()] == [row.pk]
    assert admin.site.is_registered(UsedToken)
