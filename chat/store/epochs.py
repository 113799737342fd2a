"""What a channel's numbers are compared within (protocol.md section 19): they began anew where the
channel's row was removed and made again, or the database restored (docs/decisions/0007).
"""

import os
import secrets
from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import Final

from chat.store.databases import Connection, connection

BYTES: Final = 12  # of an epoch, which has 16 characters


def new_epoch() -> str:
    """What a row keeps: random, made with it."""
    return secrets.token_urlsafe(BYTES)


def epoch_of(row_id: int, kept: str) -> str:
    """A channel's epoch, by what its row keeps, in a thread that is connected to the database."""
    text = f"{row_id} {kept} {_database()}"
    return urlsafe_b64encode(blake2b(text.encode(), digest_size=BYTES).digest()).decode()


def _database() -> str:
    """Which database it is: another one after most restores."""
    driver = connection.connection
    if isinstance(driver, Connection):
        return driver.identity
    try:
        return str(os.stat(connection.settings_dict["NAME"]).st_ino)
    except OSError:  # SQLite in memory has no file
        return ""
