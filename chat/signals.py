"""For Python code that receives backend events (docs/webhooks.md).

from django.dispatch import receiver
from chat.signals import backend_event

@receiver(backend_event)
def count(event, **kwargs):
    print(event.type, event.metadata, event.data)
"""

from chat.store.reports import backend_event

__all__ = ["backend_event"]
