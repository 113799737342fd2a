"""What callers' transactions publish, until a server's writer does it."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from .fields import CodePointField


class OutboxEntry(models.Model):
    """A write through `chat.api` within a caller's transaction on PostgreSQL (design.md section 4,
    "Somebody else's transaction"). The row is deleted once the write is done, and parked where it
    cannot be done.

    The channel is a name, not a reference: a new channel's row would make others wait for the
    caller's commit.
    """

    id = models.BigAutoField(primary_key=True)
    channel = CodePointField(max_length=256)
    work = models.TextField(help_text="What is to be done, as JSON.")
    created_at = models.DateTimeField(db_default=Now())
    parked_at = models.DateTimeField(null=True, help_text="Empty: waiting.")
    problem = models.TextField(blank=True, db_default="", help_text="Why it is parked.")

    class Meta:
        ordering = ("id",)
        verbose_name = "outbox entry"
        verbose_name_plural = "outbox entries"
        indexes = (
            models.Index(
                fields=("channel", "id"),
                name="chat_outbox_waiting",
                condition=Q(parked_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.channel} {self.id}"
