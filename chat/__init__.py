"""The chat: its protocol, its delivery, and how it is served."""

import os

# Tokens travel in the query and may have 64 KiB (protocol.md section 3); websockets reads this when
# it is imported.
os.environ["WEBSOCKETS_MAX_LINE_LENGTH"] = "131072"
