from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, transaction

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
