"""What raw JSON may hold and how large it is, against the standard library as oracle."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.protocol.frames import MAX_FRAME_BYTES
from chat.protocol.jsontext import (
    MAX_DEPTH,
    compact_size,
    holds_nul,
    too_deep,
    too_large,
)
from tokens.names import MAX_DATA_BYTES

# Characters that JSON escapes, may escape or must not, and what looks like structure.
AWKWARD = '\\"/\b\f\n\r\t\0\x01\x1f\x7f\x80ÿĀ߿ࠀ\u2028\uffff😀[]{}:,u0'
texts = st.text(st.sampled_from(AWKWARD) | st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
spaces = st.text(st.sampled_from(" \t\r\n"), max_size=3)


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> str:
    """`value` as JSON with white space and escapes wherever they are allowed."""
    match value:
        case str():
            return draw(spelled_text(value))
        case list():
            items = [draw(spelled(item)) for item in value]
        case dict():
            items = [
                f"{draw(spelled_text(key))}{draw(spaces)}:{draw(spelled(item))}"
                for key, item in value.items()
            ]
        case _:
            return f"{draw(spaces)}{json.dumps(value)}{draw(spaces)}"
    opening, closing = "[]" if isinstance(value, list) else "{}"
    inner = ",".join(f"{draw(spaces)}{item}{draw(spaces)}" for item in items)
    return f"{opening}{inner}{draw(spaces)}{closing}"


@st.composite
def spelled_text(draw: st.DrawFn, text: str) -> str:
    escaped = "".join(draw(spelled_character(character)) for character in text)
    return f'"{escaped}"'


def spelled_character(character: str) -> st.SearchStrategy[str]:
    units = character.encode("utf-16-be").hex()
    escape = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    ways = [escape, escape.upper().replace("U", "u"), compact(character)[1:-1]]
    return st.sampled_from([*ways, "\\/"] if character == "/" else ways)


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@given(values.flatmap(lambda value: st.tuples(st.just(value), spelled(value))))
def test_the_size_is_that_of_the_compact_text(pair: tuple[Any, str]) -> None:
    value, text = pair
    assert compact_size(text.encode()) == len(compact(value).encode())


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("null", 4),
        (" [ 1 , 2 ] ", 5),
        (r'"\u0041"', 3),
        (r'"\/"', 3),
        (r'"\\u0041"', 9),
        (r'"\\\u0041"', 5),
        (r'"\u000a"', 4),
        (r'"\u0001"', 8),
        (r'"\u005C\u0022"', 6),
        (r'"\ud83d\ude00"', 6),
        ('"a b"', 5),
        ("18446744073709551616", 20),
        ("1.50e+01", 8),
    ],
)
def test_the_size_of(text: str, size: int) -> None:
    assert compact_size(text.encode()) == size


@pytest.mark.parametrize("inner", [0, 1])
def test_exactly_the_limit_is_not_too_large(inner: int) -> None:
    text = '"' + "x" * (MAX_DATA_BYTES - 2 + inner) + '"'
    assert too_large(text.encode()) is bool(inner)


def test_white_space_does_not_count() -> None:
    assert not too_large(b"[" + b" " * 2 * MAX_DATA_BYTES + b"]")
    assert too_large(b"[" + b" " * 2 * MAX_DATA_BYTES + b'"' + b"x" * MAX_DATA_BYTES + b'"]')


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0) if isinstance(value, list | dict) else 0


@given(values, st.integers(MAX_DEPTH - 8, MAX_DEPTH + 2), st.data())
def test_more_than_100_levels_are_too_deep(core: Any, levels: int, data: st.DataObject) -> None:
    value = core
    for wrap in data.draw(st.lists(st.booleans(), min_size=levels, max_size=levels)):
        value = [value, ']"['] if wrap else {'\\"{': value}
    assert too_deep(compact(value).encode()) is (depth(value) > MAX_DEPTH)


def test_width_is_not_depth() -> None:
    assert not too_deep(b"[" + b",".join([b"[]"] * 1000) + b"]")


def strings(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [text for item in value for text in strings(item)]
        case dict():
            return [text for pair in value.items() for item in pair for text in strings(item)]
    return []


backslashed = st.lists(st.sampled_from(["\\", "u", "0", "\0", '"', "u0000"])).map("".join)


@given(values | st.lists(backslashed, max_size=4))
def test_nul_is_found_in_names_and_values(value: Any) -> None:
    assert holds_nul(json.dumps(value)) is any("\0" in text for text in strings(value))


@pytest.mark.parametrize("run", range(9))
def test_a_backslash_that_is_itself_escaped_begins_no_nul(run: int) -> None:
    text = '"' + "\\" * run + 'u0000"'
    assert holds_nul(text) is (run % 2 == 1)


FULL = MAX_FRAME_BYTES
ATTACKS = {
    "backslashes": b'"' + b"\\\\" * (FULL // 2) + b'"',
    "backslashes and a NUL": b'"' + b"\\\\" * (FULL // 2) + b'\\u0000"',
    "almost NULs": b'"' + b"\\\\u0000" * (FULL // 7) + b'"',
    "escaped quotes": b'"' + b'\\"' * (FULL // 2) + b'"',
    "escaped letters": b'"' + b"\\u0041" * (FULL // 6) + b'"',
    "short strings with escapes": b"[" + b",".join([b'"\\n"'] * (FULL // 5)) + b"]",
    "empty strings": b"[" + b",".join([b'""'] * (FULL // 3)) + b"]",
    "empty arrays": b"[" + b",".join([b"[]"] * (FULL // 3)) + b"]",
    "scattered spaces": b"[" + b" , ".join([b"1"] * (FULL // 4)) + b"]",
    "a run of spaces": b"[" + b" " * FULL + b"]",
    "nesting": b"[" * (FULL // 2) + b"]" * (FULL // 2),
    "brackets in a string": b'"' + b"[" * FULL + b'"',
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_no_text_of_the_largest_size_holds_the_event_loop(attack: bytes) -> None:
    """A pattern that backtracks over such a text takes minutes."""
    text = attack.decode()
    before = time.process_time()
    if not too_deep(attack):
        compact_size(attack)
    holds_nul(text)
    assert time.process_time() - before < 0.05
