import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokens.strict_json import JsonError, dumps, holds_huge_number, loads

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


# --- huge numbers ----------------------------------------

OUTSIDE_OF_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|(-?\d[\d.]*)(?:[eE]([+-]?\d+))?')


def huge(document: str) -> bool:
    """A slow reading of protocol.md section 2."""
    for number in OUTSIDE_OF_STRINGS.finditer(document):
        mantissa, exponent = number[1] or "", number[2] or ""
        digits = sum(map(str.isdigit, mantissa + exponent))
        if digits > 1000 or len(exponent.lstrip("+-0")) > 4:
            return True
    return False


digits = st.sampled_from([0, 1, 499, 997, 998, 999, 1000, 1001]).map("1".__mul__)
exponents = st.builds(
    "".join,
    st.tuples(
        st.sampled_from("eE"),
        st.sampled_from(["", "+", "-"]),
        st.sampled_from(["0", "9999", "09999", "10000", "000010000", "0" * 999, "1" * 1001]),
    ),
)
numbers = st.builds(
    lambda sign, whole, fraction, exponent: f"{sign}1{whole}{fraction and '.'}{fraction}{exponent}",
    *(st.sampled_from(["", "-"]), digits, digits, st.just("") | exponents),
)
misleading = st.sampled_from(["1e99999", "9" * 1001, '"', "\\", '\\"1e99999', "e", ""]).map(
    json.dumps
)
documents = st.recursive(
    numbers | misleading | st.sampled_from(["true", "false", "null"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(misleading, inner).map(":".join), max_size=3).map(
            lambda members: f"{{{','.join(members)}}}"
        )
    ),
    max_leaves=6,
)


@given(documents)
def test_a_huge_number_is_found_outside_of_strings(document: str) -> None:
    assert holds_huge_number(document.encode()) is huge(document)


@pytest.mark.parametrize("number", ["1" * 1001, "1" * 5000, "-0.0e99999", "1e-10000"])
def test_a_huge_number_is_refused(number: str) -> None:
    with pytest.raises(JsonError, match="holds a number of more than 1000 digits or with an expon"):
        loads(f'{{"x":[{number}]}}'.encode())


FULL = 128 * 1024
ATTACKS = [
    *(
        piece * (FULL // len(piece))
        for piece in (b'"', b"\\", b"1e", b"1e00001,", b'"",', b'"1e99999",')
    ),
    *(b'"' + piece * (FULL // 2) + b'"' for piece in (b"\\\\", b'\\"')),
    (b"1" * 1000 + b",") * (FULL // 1001),
    b"1e" + b"0" * FULL,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: repr(attack[:12]))
def test_no_text_of_the_largest_size_is_looked_through_for_long(attack: bytes) -> None:
    """A pattern that backtracks over such a text takes minutes."""
    before = time.process_time()
    holds_huge_number(attack)
    assert time.process_time() - before < 0.05
