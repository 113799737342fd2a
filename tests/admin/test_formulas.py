"""What a spreadsheet would run comes as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.admin.messages import harmless


@pytest.mark.parametrize("start", list("=+-@\t\r\n＝＋－＠"))
def test_a_cell_that_a_spreadsheet_would_run_is_text(start: str) -> None:
    assert harmless(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"


@given(st.text())
def test_no_cell_begins_like_a_formula(text: str) -> None:
    cell = harmless(text)
    assert cell[:1] not in set("=+-@\t\r\n")
    assert cell in (text, f"'{text}")
