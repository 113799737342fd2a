"""The chat: its protocol, its delivery, and how it is served."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chat.users import tokens_for as tokens_for

# Tokens travel in the query and may have 64 KiB (protocol.md section 3); websockets reads this when
# it is imported.
os.environ["WEBSOCKETS_MAX_LINE_LENGTH"] = "131072"


def __getattr__(name: str) -> object:
    """`chat.tokens_for`, which needs Django's models, when it is asked for."""
    if name != "tokens_for":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from chat.users import tokens_for

    return tokens_for
