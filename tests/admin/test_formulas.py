"""What a spreadsheet would run comes as text, whatever it takes for a separator."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.admin.messages import harmless

SIGNS = "=+-@＝＋－＠"
SEPARATORS = ",;|\t\r\n"
LIKE_FORMULAS = st.text(st.sampled_from(f"{SIGNS}{SEPARATORS} \"'a1"))


@pytest.mark.parametrize("start", [*SIGNS, *"\t\r\n"])
def test_a_cell_that_a_spreadsheet_would_run_is_text(start: str) -> None:
    assert harmless(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("a;=1+1", "a;'=1+1"),
        ('a,"=1+1"', 'a,"\'=1+1"'),
        ("a\r\n @SUM(A1)", "a\r\n '@SUM(A1)"),
        ("a\t\xa0－1", "a\t\xa0'－1"),
        ("1+1=2, a-b", "1+1=2, a-b"),
        ("Well - no; it = that", "Well - no; it = that"),
    ],
)
def test_nor_does_a_part_of_it_run(cell: str, written: str) -> None:
    assert harmless(cell) == written


@given(st.text() | LIKE_FORMULAS)
def test_no_part_of_a_cell_begins_like_a_formula(text: str) -> None:
    cell = harmless(text)
    assert cell[:1] not in {*"\t\r\n"}
    for part in re.split(f"[{SEPARATORS}]", cell):
        assert re.sub(r'[\s"]', "", part)[:1] not in {*SIGNS}
    assert cell.replace("'", "") == text.replace("'", "")


def test_many_separators_take_no_longer() -> None:
    """A run of n is looked at once, not n times."""
    cell = "\n" * 32_000 + " " * 1_000_000
    assert harmless(cell) == f"'{cell}"
