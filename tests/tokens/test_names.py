import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens import names

SPACES = [
    " ",
    "\t",
    "\n",
    "\r",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\xa0",
    "\u2003",
    "\u2028",
    "\u3000",
]
NEVER = ["\x00", "\ud800", "\udfff", "a\x00b", "a\ud83d"]


@pytest.mark.parametrize(
    "name", ["a", "chat-1", "presence.x", "hotsock.x", "é" * 256, "💬", "a/b:c"]
)
def test_good_channel_names(name: str) -> None:
    assert names.is_channel_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "a" * 257, "a*", "#a", "a,b", "a b", "a\n", *(f"a{space}" for space in SPACES), *NEVER],
)
def test_bad_channel_names(name: str) -> None:
    assert not names.is_channel_name(name)


@pytest.mark.parametrize("key", ["k", "user:1", "x" * 128, "💬" * 128])
def test_good_storage_keys(key: str) -> None:
    assert names.is_storage_key(key)


@pytest.mark.parametrize("key", ["", "x" * 129, "a*b", "a#", "a,b", "a\u3000b", *NEVER])
def test_bad_storage_keys(key: str) -> None:
    assert not names.is_storage_key(key)


@pytest.mark.parametrize(
    "event",
    [
        "chat",
        "is typing",
        "a,b",
        "a#b",
        "hotsock",
        "hotsockx",
        "x" * 128,
        "a\nb",
        "ho.hotsock.",
        "h\u00f6tsock.",
        "ＨＯＴＳＯＣＫ",
        "👍" * 128,
    ],
)
def test_good_event_names(event: str) -> None:
    assert names.is_event_name(event)


@pytest.mark.parametrize(
    "event", ["", "x" * 129, "#chat", "hotsock.", "hotsock.chat", "a*", "*", *NEVER]
)
def test_bad_event_names(event: str) -> None:
    assert not names.is_event_name(event)


@pytest.mark.parametrize(
    "prefix",
    [
        "Hotsock.",
        "HOTSOCK.",
        "hotsoc\u212a.",  # the sign of Kelvin
        "hot\u017fock.",  # the long s
        "ｈｏｔｓｏｃｋ．",
        "𝐡𝐨𝐭𝐬𝐨𝐜𝐤.",
        "ⓗⓞⓣⓢⓞⓒⓚ.",
        "hotsock\u2024",  # one dot leader
        "hotsock\u2026",
        *(
            f"hot{unseen}sock."
            for unseen in "\u00ad\u200b\u2060\u202e\ufeff\ufe0f\U000e0100\u180b\u180f"
        ),
        *(f"{filler}hotsock." for filler in "\u3164\u115f\u1160\uffa0"),
        "\u200b" * 60 + "H\ufe0fO\u3164TＳOC\u212a" + "\u2060" * 50 + "\u2024",
    ],
    ids=ascii,
)
def test_no_event_name_reads_like_one_of_ours(prefix: str) -> None:
    assert not names.is_event_name(prefix)
    assert not names.is_event_name(f"{prefix}x"[:128])
    assert names.is_event_name(prefix[:-1])


@pytest.mark.parametrize("uid", ["", "jim", "x" * 128, "Jim Halpert", "💬" * 128])
def test_good_uids(uid: str) -> None:
    assert names.is_uid(uid)


@pytest.mark.parametrize("uid", ["x" * 129, *NEVER])
def test_bad_uids(uid: str) -> None:
    assert not names.is_uid(uid)


@pytest.mark.parametrize("reaction", ["👍", "+1", "x" * 100, "é" * 50, " a ", "❤️", "a\nb"])
def test_good_reactions(reaction: str) -> None:
    assert names.is_reaction(reaction)


@pytest.mark.parametrize(
    "reaction", ["", " ", "\n", "\u3000\u2003", "x" * 101, "é" * 51, "#", "a#", *NEVER]
)
def test_bad_reactions(reaction: str) -> None:
    assert not names.is_reaction(reaction)


@pytest.mark.parametrize(
    ("channel", "expected"),
    [("presence.room", True), ("presence.", True), ("presence", False), ("xpresence.a", False)],
)
def test_presence_channels_are_known_by_their_prefix(channel: str, expected: bool) -> None:
    assert names.is_presence(channel) is expected


@given(st.text(max_size=300))
def test_a_channel_name_holds_none_of_what_separates_names(name: str) -> None:
    allowed = (
        1 <= len(name) <= 256
        and not any(char in "*#,\x00" or char.isspace() for char in name)
        and not any("\ud800" <= char <= "\udfff" for char in name)
    )
    assert names.is_channel_name(name) is allowed
