"""Which JSON texts are one value (protocol.md section 12: a write that does not change it)."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chat.protocol.jsontext import same_value

HUGE = "9" * 5000  # more digits than int() takes


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("1", "1e0"),
        ("100", "1E+2"),
        ("-0", "0"),
        ("0.00", "0e5"),
        ("-1.50", "-15e-1"),
        ("10e-1", "1"),
        ("1e400", "10e399"),
        (f"1e{HUGE}", f"1.0e{HUGE}"),
        (HUGE, HUGE + ".0"),
        (f"0e{HUGE}", "0"),
        ('{"a":1,"b":2}', '{ "b" : 2,\n"a":1 }'),
        ('{"a":1,"a":2}', '{"a":2}'),
        ('"\\u00e9"', '"é"'),
        ('"\\ud83d\\ude00"', '"😀"'),
        ('"a\\/b"', '"a/b"'),
        ("[1, [true, null]]", "[1.0,[true,null]]"),
    ],
)
def test_the_same_value(one: str, other: str) -> None:
    assert same_value(one.encode(), other.encode())
    assert same_value(other.encode(), one.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "true"),
        ("0", "false"),
        ("[1]", "[true]"),
        ('{"a":0}', '{"a":false}'),
        ("18446744073709551616", "18446744073709551617"),
        ("0.1", "0.10000000000000000000000001"),
        ("1e400", "1e401"),
        ("1e400", "2e400"),
        (f"1e{HUGE}", f"1e{HUGE}0"),
        ("1", "-1"),
        ("1", '"1"'),
        ("null", "false"),
        ("[]", "{}"),
        ("[1,2]", "[2,1]"),
        ('["1",0]', "1"),
        ('{"a":1,"a":2}', '{"a":1}'),
        ('"é"', '"e\\u0301"'),  # no Unicode normalisation
        ("1", "10"),
        ("0.1", "1"),
    ],
)
def test_another_value(one: str, other: str) -> None:
    assert not same_value(one.encode(), other.encode())
    assert not same_value(other.encode(), one.encode())


numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def exact(value: Any) -> Any:
    """A value in which booleans and numbers differ, told without the code under test."""
    if isinstance(value, dict):
        return {key: exact(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [exact(inner) for inner in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ("number", Decimal(repr(value)))
    return ("other", type(value), value)


@given(values, values)
def test_values_are_compared_and_not_texts(one: Any, other: Any) -> None:
    first, second = json.dumps(one).encode(), json.dumps(other).encode()
    assert same_value(first, second) is (exact(one) == exact(other))


@given(values)
def test_how_a_value_is_written_does_not_matter(value: Any) -> None:
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    assert same_value(compact.encode(), json.dumps(value, indent=2, sort_keys=True).encode())


@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers(-30, 30))
def test_a_number_may_move_its_point(number: Decimal, places: int) -> None:
    sign, digits, exponent = number.as_tuple()
    assume(any(digits))
    minus, whole = "-" * sign, "".join(map(str, digits)).lstrip("0")
    one = f"{minus}{whole}e{exponent}"
    other = f"{minus}{whole}{'0' * abs(places)}e{int(exponent) - abs(places)}"
    assert same_value(one.encode(), other.encode())
