"""Which tokens are revoked, and who is banned."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .fields import CodePointField


class RestrictionQuerySet(models.QuerySet["Restriction"]):
    def in_force(self) -> Self:
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=Now()))

    def bans(self) -> Self:
        return self.filter(jti="", issued_before=None)

    def revocations(self) -> Self:
        return self.filter(~Q(jti="") | Q(issued_before__isnull=False))


class Restriction(models.Model):
    """A revocation of a token (`jti`) or of a uid's (`issued_before`); else a ban, of a uid or an
    address. Once it is lifted it has expired."""

    id = models.BigAutoField(primary_key=True)
    number = models.BigIntegerField(
        unique=True, help_text="Of its last change, in the order of the commits."
    )
    jti = CodePointField(max_length=256, blank=True)
    uid = CodePointField(max_length=128, null=True)
    issued_before = models.FloatField(null=True, help_text="Unix seconds.")
    address = CodePointField(
        max_length=64, blank=True, help_text="An IP address, or a network such as 192.0.2.0/24."
    )
    channel = CodePointField(max_length=256, blank=True, help_text="Empty: all.")
    reason = models.TextField(blank=True, help_text="Clients never see it.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, db_index=True, help_text="Empty: never.")

    objects = RestrictionQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        indexes = (
            models.Index(
                fields=("id",),
                name="chat_restriction_ban",
                condition=Q(jti="", issued_before__isnull=True),
            ),
            models.Index(fields=("jti",), name="chat_restriction_jti", condition=Q(jti__gt="")),
            models.Index(
                fields=("uid", "id"),
                name="chat_restriction_uid",
                condition=Q(uid__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{'ban' if self.is_ban else 'revocation'} {self.id}"

    @property
    def is_ban(self) -> bool:
        return not self.jti and self.issued_before is None
