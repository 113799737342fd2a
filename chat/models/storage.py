from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from chat.protocol import events

from .channels import Channel
from .fields import CodePointField


class StorageEntryQuerySet(models.QuerySet["StorageEntry"]):
    def of(self, channel: str) -> Self:
        """Those of the channel of this name; by a subquery, as for messages."""
        return self.filter(channel=Channel.objects.filter(name=channel).values("id")[:1])

    def live(self, now: datetime | None = None) -> Self:
        """Those that are set and have not expired; None: by the database's clock."""
        fresh = Q(expires_at__isnull=True) | Q(expires_at__gt=now or Now())
        return self.filter(fresh).exclude(data="")


class StorageEntry(models.Model):
    """What a channel keeps under a key. One that was cleared stays as a mark for a while, so that
    whoever was away learns of it by its number."""

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="storage", db_index=False
    )
    key = CodePointField(max_length=128)
    number = models.BigIntegerField(help_text="The channel's number at its last change.")
    data = models.TextField(blank=True, help_text="Raw JSON; empty: cleared.")
    uid = CodePointField(max_length=128, null=True)  # type: ignore[misc]
    umd = models.TextField(default="null", help_text="Raw JSON.")
    by_server = models.BooleanField(default=False, help_text="Its meta is null.")
    expires_at = models.DateTimeField(null=True, help_text="Empty: kept for ever.")
    reports_expiry = models.BooleanField(
        default=False, help_text="Its expiry is a backend event, not yet written."
    )

    objects = StorageEntryQuerySet.as_manager()

    class Meta:
        ordering = ("key",)
        verbose_name = "storage entry"
        verbose_name_plural = "storage entries"
        constraints = (
            models.UniqueConstraint(fields=("channel", "key"), name="chat_storage_once"),
        )
        indexes = (
            models.Index(fields=("channel", "number"), name="chat_storage_repair"),
            models.Index(
                fields=("expires_at",),
                name="chat_storage_expiry",
                condition=Q(expires_at__isnull=False),
            ),
            models.Index(
                fields=("expires_at",),
                name="chat_storage_reports",
                condition=Q(reports_expiry=True),
            ),
        )

    def __str__(self) -> str:
        return self.key

    @property
    def shown(self) -> tuple[bytes | None, bytes | None]:
        """Its value and its meta, as events show them."""
        if not self.data:
            return None, None
        return self.data.encode(), None if self.by_server else events.meta(self.uid, self.umd)
