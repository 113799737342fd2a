import functools
import re
import time
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens.patterns import Kind, PatternError, compile_pattern, escape_name

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@pytest.mark.parametrize(
    ("key", "matching", "others"),
    [
        ("chat", ["chat"], ["", "chats", "Chat", "a chat"]),
        ("*", ["", "a", "a\nb", "💬"], []),
        ("chat-*", ["chat-", "chat-1", "chat-\n", "chat-a-b"], ["chat", "xchat-1"]),
        ("*-chat", ["-chat", "a-chat", "a\n-chat"], ["chat", "a-chat\n", "a-chats"]),
        ("a*b", ["ab", "a-b", "aab", "abb"], ["a", "b", "ba", "abc"]),
        ("ab*bc", ["abbc", "ab-bc"], ["abc"]),
        ("*ab*ba*", ["abba", "ab-ba"], ["-aba", "aba-"]),
        ("*bc*cd", ["bccd", "bc-cd"], ["--bcd"]),
        ("a*b*c", ["abc", "a1b2c", "abbcc"], ["acb", "ab", "bc"]),
        ("**", ["", "x"], []),
        ("a**b", ["ab", "a1b"], ["a"]),
        ("a.c*", ["a.c", "a.cd"], ["abc"]),
        ("é*", ["é", "é1"], ["e\u0301", "e"]),
        (
            "#regex:^chat-[0-9]+$",
            ["chat-1", "chat-12"],
            ["chat-", "chat-1a", "chat-1\n", "a chat-1"],
        ),
        ("#regex:chat", ["chat", "my chat room"], ["cha"]),
        ("#regex:", ["", "anything"], []),
        ("#regex:^.$", ["a", "é", "💬"], ["", "ab", "\n"]),
        ("#regex:(?s)^.$", ["\n"], [""]),
        ("#regex:(?i)^CHAT$", ["chat", "Chat"], ["chats"]),
        (r"#regex:^\pL+\z", ["é", "chat", "日本"], ["1", ""]),
        ("#regex:a*", ["", "b"], []),
        ("#REGEX:a", ["#REGEX:a"], ["a"]),
    ],
)
def test_what_a_key_matches(key: str, matching: list[str], others: list[str]) -> None:
    pattern = compile_pattern(key)
    assert [name for name in matching if not pattern.matches(name)] == []
    assert [name for name in others if pattern.matches(name)] == []


@pytest.mark.parametrize(
    "regex",
    ["(", "[", "a{2,1}", "a{1001}", "(a{1000}){1000}", "((a{99}){99}){99}", "(?=a)", r"(a)\1",
     "(?<!a)b", "a++", "(?P<n", r"\pX", "\udc80", r"\pL{1000}", r"^[\p{L}\p{N}]{1,64}$",
     "a" * 7001, r"\pL|" * 24, "a{0,999}" * 8],
)  # fmt: skip
def test_what_does_not_compile_is_refused(regex: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PatternError, match=r"."):
        compile_pattern(f"#regex:{regex}")
    assert capfd.readouterr() == ("", "")


def test_kinds_rank_from_exact_to_regex() -> None:
    keys = ["#regex:^a.*$", "*", "a*", "*b", "ab*cd", "abc"]
    patterns = sorted(map(compile_pattern, keys), key=lambda pattern: pattern.rank)
    assert [pattern.key for pattern in patterns] == [
        "abc",
        "ab*cd",
        "a*",
        "*b",
        "*",
        "#regex:^a.*$",
    ]
    assert [pattern.kind for pattern in patterns] == [
        Kind.EXACT, *[Kind.WILDCARD] * 4, Kind.REGEX,
    ]  # fmt: skip


def test_wildcards_with_as_many_literals_rank_alike() -> None:
    assert compile_pattern("a**b").rank == compile_pattern("*xy").rank


def test_regexes_rank_alike_whatever_their_length() -> None:
    assert compile_pattern("#regex:a").rank == compile_pattern("#regex:^abc$").rank


@pytest.mark.parametrize(
    "key",
    [
        "*a" * 30_000,
        "*a" * 120 + "*c",
        "a*" * 120,
        "*" + "ab*" * 60,
        "#regex:^(a+)+$",
        "#regex:^(a|aa)+$",
        "#regex:(.*a){200}b",
        "#regex:(a?){250}a{250}c",
        "#regex:" + "[ab]?" * 1000,
        "#regex:(((a*)*)*)*c",
    ],
    ids=lambda key: key[:20],
)
def test_no_pattern_makes_matching_slow(key: str) -> None:
    pattern = compile_pattern(key)
    began = time.perf_counter()
    for name in ("a" * 256, "a" * 255 + "b", "ab" * 128):
        pattern.matches(name)
    assert time.perf_counter() - began < 0.5


def test_an_expression_is_compiled_once_for_all_tokens_and_goes_with_the_last() -> None:
    first = compile_pattern("#regex:^once-[0-9]$")
    assert compile_pattern("#regex:^once-[0-9]$") is first
    gone = weakref.ref(first)
    del first
    assert gone() is None


@given(st.text("ab*", max_size=8), st.text("ab\n", max_size=10))
def test_a_wildcard_is_any_run_of_characters(key: str, name: str) -> None:
    reference = ".*".join(map(re.escape, key.split("*")))
    expected = re.fullmatch(reference, name, re.DOTALL) is not None
    assert compile_pattern(key).matches(name) is expected


@given(st.text(max_size=20))
def test_a_plain_key_matches_itself_alone(name: str) -> None:
    key = functools.reduce(lambda text, char: text.replace(char, ""), "*#", name)
    assert compile_pattern(key).matches(key)
    assert not compile_pattern(key).matches(f"{key}x")


@given(st.sampled_from(["", "*", "#regex:", "#regex:.*", "room-*", "a\\E*\n"]), TEXTS, TEXTS)
def test_an_escaped_name_matches_itself_alone(begin: str, rest: str, other: str) -> None:
    name = begin + rest
    pattern = compile_pattern(escape_name(name))
    assert pattern.matches(name)
    assert pattern.matches(other) is (other == name)
    assert escape_name(rest) == rest or "*" in rest or rest.startswith("#regex:")


def test_a_name_that_cannot_be_text_is_escaped_too() -> None:
    assert not compile_pattern(escape_name("*\ud800")).matches("lobby")
