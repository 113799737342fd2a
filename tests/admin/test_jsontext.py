import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.admin.render import DEEPEST, indent

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30
)


@pytest.mark.parametrize(
    ("text", "laid_out"),
    [
        ('"hi"', '"hi"'),
        ("[]", "[]"),
        ("{}", "{}"),
        ("[1,2]", "[\n  1,\n  2\n]"),
        ('{"a":{"b":[]}}', '{\n  "a": {\n    "b": []\n  }\n}'),
        (' { "a" :\n1 } ', '{\n  "a": 1\n}'),
        (r'["a\"b, [c]: {d}"]', '[\n  "a\\"b, [c]: {d}"\n]'),
        ("18446744073709551616", "18446744073709551616"),
        ("[1.10,1E5,-0]", "[\n  1.10,\n  1E5,\n  -0\n]"),
        ('{"a":1,"a":2}', '{\n  "a": 1,\n  "a": 2\n}'),
    ],
)
def test_each_item_has_a_line_and_each_token_its_text(text: str, laid_out: str) -> None:
    assert indent(text) == laid_out


@given(DOCUMENTS, st.booleans())
def test_it_says_what_it_said(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert json.loads(indent(text)) == value


@given(DOCUMENTS)
def test_it_reads_as_the_standard_library_lays_it_out(value: object) -> None:
    usual = json.dumps(value, indent=2, ensure_ascii=False)
    assert indent(json.dumps(value, ensure_ascii=False)) == usual


@given(st.text(alphabet='{}[],:"\\ \n1a'))
def test_what_is_no_json_does_no_harm(text: str) -> None:
    assert "".join(indent(text).split()) == "".join(text.split())


def test_depth_costs_little() -> None:
    text = "[" * 100 + "1," * 16_000 + "1" + "]" * 100
    assert len(indent(text)) < 32_768 * (2 * DEEPEST + 2)
