"""The one row of this application: a token that was used and must not be used again."""

from datetime import UTC, datetime
from hashlib import sha256

from django.db import models

from tokens.claims import Claims


class UsedToken(models.Model):
    """A `jti` of a single-use token, kept until the token's `exp` (protocol.md section 3)."""

    id = models.CharField("SHA-256 of the jti", primary_key=True, max_length=64)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "used token"
        ordering = ("-expires_at",)

    def __str__(self) -> str:
        return self.id

    @staticmethod
    def digest(jti: str) -> str:
        """The primary key for a `jti` of any length: 64 hexadecimal digits."""
        return sha256(jti.encode()).hexdigest()

    @staticmethod
    def expiry(claims: Claims) -> datetime:
        """When the row may go: the token's `exp`, which always fits a datetime."""
        return datetime.fromtimestamp(claims.exp, UTC)
