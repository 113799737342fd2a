"""The examples stay small enough to be read over a coffee, and say how to start them."""

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/app.py"))
CODE = {".py", ".js", ".html", ".css"}


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_there_are_four() -> None:
    assert NAMES == ["dashboard", "notifications", "team-chat", "todo"]


@pytest.mark.parametrize("name", NAMES)
def test_all_code_of_an_example_is_under_150_lines(name: str) -> None:
    code = [path for path in (EXAMPLES / name).rglob("*") if path.suffix in CODE]
    assert sum(len(lines(path)) for path in code) < 150


def test_the_shop_has_at_most_400_lines() -> None:
    """Without blank ones and migrations."""
    files = [path for path in (EXAMPLES / "shop").rglob("*") if path.suffix in CODE]
    written = [line for path in files if path.parent.name != "migrations" for line in lines(path)]
    assert sum(bool(line.strip()) for line in written) <= 400


def test_each_file_that_they_share_is_under_100_lines() -> None:
    shared = [path for path in EXAMPLES.iterdir() if path.suffix in CODE]
    assert {path.name: len(lines(path)) for path in shared if len(lines(path)) >= 100} == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_of_five_lines_has_the_command(name: str) -> None:
    readme = lines(EXAMPLES / name / "README.md")
    assert len(readme) == 5
    assert f"`.venv/bin/python -m examples.{name}.app`" in readme[3]
