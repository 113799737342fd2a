import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens.strict_json import JsonError, dumps, loads

STORABLE = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | STORABLE,
    lambda inner: st.lists(inner) | st.dictionaries(STORABLE, inner),
)  # fmt: skip


@given(JSON)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert loads(dumps(value).encode()) == value
    assert loads(json.dumps(value, indent=1).encode()) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [({"b": [1, 2.5], "a": None}, '{"b":[1,2.5],"a":null}'), ("é\u2028💬", '"é\u2028💬"')],
)  # fmt: skip
def test_text_is_compact_and_exact(value: Any, text: str) -> None:
    assert dumps(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_json_has_no_word_for_is_not_written(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(value)


@pytest.mark.parametrize("depth", [1, 50, 101])
def test_100_levels_within_the_outermost(depth: int) -> None:
    assert loads(b"[" * depth + b"1" + b"]" * depth)


@pytest.mark.parametrize("depth", [102, 500, 30_000])
def test_more_levels_are_refused(depth: int) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        with pytest.raises(JsonError, match="is nested deeper than 100 levels"):
            loads(opening * depth + b"1" + closing * depth)


@given(st.text())
def test_text_is_read_or_refused_by_what_it_holds(text: str) -> None:
    raw = json.dumps(text).encode()
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        with pytest.raises(JsonError, match="NUL or a lone surrogate"):
            loads(raw)
    else:
        assert loads(raw) == text
