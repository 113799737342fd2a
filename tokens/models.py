"""The one row of this application: a token that was used and must not be used again."""

from hashlib import sha256

from django.db import models


class UsedToken(models.Model):
    """A `jti` of a single-use token, kept until the token can no longer be used.

    The server's writer inserts the rows (protocol.md section 3: the first use, for all processes).
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
