"""The only model of this app: the single-use tokens that were used."""

from hashlib import sha256

from django.db import models


class UsedToken(models.Model):
    """The `jti` of a single-use token that was used, kept until the token expires.

    The server's writer inserts the rows: the first use wins, in all processes (protocol.md
    section 3).
    """

    id = models.CharField("digest", primary_key=True, max_length=64, db_column="digest")
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
