from django.db import models

from .fields import CodePointField


class Channel(models.Model):
    """A channel that holds or held something durable; its row is the lock on its order.

    `number` counts its durable changes (design.md section 4, "One sequence per channel"), so a
    subscriber that knows the last number it saw can tell whether something is missing.
    """

    name = CodePointField(max_length=256, unique=True)
    number = models.BigIntegerField(default=0)
    last_message_id = CodePointField(max_length=26, blank=True, default="")
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
