"""Events for the site's own backend."""

from django.db import models
from django.db.models import Q

from .fields import CodePointField


class BackendEvent(models.Model):
    """An event that the webhook has not received yet (protocol.md section 16).

    It is written in the transaction of the change that it reports, deleted when it is delivered,
    and parked when delivery has failed for a day.
    """

    id = models.BigAutoField(primary_key=True)
    webhook_id = CodePointField(max_length=32)
    stream = CodePointField(
        max_length=256, help_text="What keeps its order: a channel's name or a connection's id."
    )
    type = models.CharField(max_length=64)
    body = models.TextField(help_text="The JSON that is sent.")
    created_at = models.DateTimeField()
    attempts = models.IntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, help_text="Empty: parked.")
    last_error = models.CharField(max_length=256, blank=True, default="")

    class Meta:
        ordering = ("id",)
        indexes = (
            models.Index(fields=("stream", "id"), name="chat_backendevent_order"),
            models.Index(
                fields=("next_attempt_at",),
                name="chat_backendevent_due",
                condition=Q(next_attempt_at__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.webhook_id}"
