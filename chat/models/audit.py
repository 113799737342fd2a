"""Who did what to whom."""

from django.db import models
from django.db.models import Q

from .fields import CodePointField


class AuditEntry(models.Model):
    """An act of an operator or of the application's backend, written in the transaction of what it
    did. Nothing changes it; `purge_expired` deletes it after AUDIT_DAYS."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=200, help_text="Such as: admin NAME, api key 1, command.")
    address = models.CharField(max_length=64, blank=True, help_text="Empty: not over HTTP.")
    action = models.CharField(max_length=64)
    uid = CodePointField(max_length=128, null=True, help_text="To whom.")
    channel = CodePointField(max_length=256, blank=True)
    detail = models.TextField(default="{}", help_text="A JSON object.")

    class Meta:
        ordering = ("id",)
        verbose_name_plural = "audit entries"
        indexes = (
            models.Index(fields=("at", "id"), name="chat_auditentry_time"),
            models.Index(
                fields=("uid", "id"), name="chat_auditentry_uid", condition=Q(uid__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"
