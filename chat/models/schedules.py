from django.db import models

from .channels import Channel
from .fields import CodePointField


class Schedule(models.Model):
    """A message or a storage write that waits for its time; its row goes when it is done."""

    id = CodePointField(max_length=26, primary_key=True)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="schedules")
    due_at = models.DateTimeField(db_index=True)
    work = models.TextField(help_text="What is to be done, as JSON.")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("due_at", "id")

    def __str__(self) -> str:
        return self.id
