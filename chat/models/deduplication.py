from django.db import models

from .channels import Channel
from .fields import CodePointField


class Deduplication(models.Model):
    """What was published under a deduplicationId: a repeat is answered the same (protocol.md
    section 15)."""

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="deduplications", db_index=False
    )
    key = CodePointField(max_length=128)
    answer = models.TextField(help_text="JSON: the id or the schedule that the first one got.")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("channel", "key"), name="chat_deduplication_once"),
        )

    def __str__(self) -> str:
        return self.key
