"""Which names of channels and events, storage keys, uids and reactions are valid, and size limits.

Pure. protocol.md section 2 is the source. Lengths are in characters (code points) unless a name
says bytes. NUL and lone surrogates are never valid: neither the database nor UTF-8 can hold them.
"""

import re
from unicodedata import category, normalize

MAX_CHANNEL_NAME_LENGTH = 256
MAX_EVENT_NAME_LENGTH = 128
MAX_STORAGE_KEY_LENGTH = 128
MAX_UID_LENGTH = 128
MAX_UMD_BYTES = 1024
MAX_DATA_BYTES = 32 * 1024
MAX_REACTION_BYTES = 100
MAX_STORE_SECONDS = 3_155_695_200
MAX_TOKEN_BYTES = 64 * 1024
MAX_HEADER_BYTES = 1024
MAX_NAMES = 2000
MAX_REGEXES = 250

PRESENCE_PREFIX = "presence."
RESERVED_EVENT_PREFIX = "hotsock."

# `\s` of a text pattern is any Unicode whitespace; `\ud800-\udfff` are the lone surrogates.
_UNSTORABLE = r"\x00\ud800-\udfff"
_NAME = rf"[^*#,\s{_UNSTORABLE}]"

_channel_name = re.compile(rf"{_NAME}{{1,{MAX_CHANNEL_NAME_LENGTH}}}").fullmatch
_storage_key = re.compile(rf"{_NAME}{{1,{MAX_STORAGE_KEY_LENGTH}}}").fullmatch
_event_name = re.compile(rf"(?!#)[^*{_UNSTORABLE}]{{1,{MAX_EVENT_NAME_LENGTH}}}").fullmatch
_uid = re.compile(rf"[^{_UNSTORABLE}]{{0,{MAX_UID_LENGTH}}}").fullmatch
_reaction = re.compile(rf"(?!\s*\Z)[^#{_UNSTORABLE}]{{1,{MAX_REACTION_BYTES}}}").fullmatch
_unstorable = re.compile(rf"[{_UNSTORABLE}]").search

# Variation selectors and Hangul fillers: not of category Cf, and yet not seen.
_UNSEEN = re.compile("[\u115f\u1160\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def is_storable(text: str) -> bool:
    """Whether PostgreSQL and UTF-8 can hold `text`: no NUL, no lone surrogate."""
    return _unstorable(text) is None


def is_channel_name(name: str) -> bool:
    return _channel_name(name) is not None


def is_event_name(name: str) -> bool:
    """Whether a client or the server API may publish under `name`."""
    return _event_name(name) is not None and not _folded(name).startswith(RESERVED_EVENT_PREFIX)


def _folded(name: str) -> str:
    """How it begins to the eye: without case, compatibility forms and what is not seen."""
    while not name.isascii():
        seen = _UNSEEN.sub("", "".join(each for each in name if category(each) != "Cf"))
        folded = normalize("NFKC", seen[: len(RESERVED_EVENT_PREFIX)]).casefold()
        if folded == name:
            break
        name = folded
    return name.lower()


def is_storage_key(key: str) -> bool:
    return _storage_key(key) is not None


def is_uid(uid: str) -> bool:
    """Whether a token may carry `uid`. An empty one is valid, but binds no token and joins no
    presence channel."""
    return _uid(uid) is not None


def is_reaction(reaction: str) -> bool:
    return _reaction(reaction) is not None and len(reaction.encode()) <= MAX_REACTION_BYTES


def is_presence(channel: str) -> bool:
    return channel.startswith(PRESENCE_PREFIX)
