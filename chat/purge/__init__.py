"""What has expired goes away, in short transactions between which the server writes on.

Knows rows and their conditions (`chat.models`), nothing of what runs or is said. Deletes only what
no read of the server can see any more (protocol.md section 8), a while after that.
"""

from .brake import Brake
from .run import MAX_BATCH, PurgeError, Report, count_due, purge

__all__ = ["MAX_BATCH", "Brake", "PurgeError", "Report", "count_due", "purge"]
