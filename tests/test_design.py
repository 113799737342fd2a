"""docs/design.md names files and functions: they exist."""

import ast
import re

import pytest

from tests.support.servers import ROOT

DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
STEP = re.compile(r"^\| `([\w/]+\.py)` \| ([^|]+) \|", re.MULTILINE)
STEPS = [
    (path, name)
    for path, names in STEP.findall(DESIGN)
    for name in re.findall(r"`([\w.]+)`", names)
]
PATHS = sorted(set(re.findall(r"`((?:chat|chatsite|tokens|tests|docs)/[\w./-]+\.\w+)`", DESIGN)))


def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (each.name for each in node.body if hasattr(each, "name"))
            found |= {f"{node.name}.{name}" for name in inner}
    return found


@pytest.mark.parametrize(("path", "name"), STEPS)
def test_each_step_of_a_walk_is_there(path: str, name: str) -> None:
    assert name in names_in(path)


def test_a_stored_message_passes_at_most_twelve_files() -> None:
    walk = DESIGN.partition("### A stored message")[2].partition("###")[0]
    assert 0 < len(STEP.findall(walk)) <= 12


@pytest.mark.parametrize("path", PATHS)
def test_each_named_file_is_there(path: str) -> None:
    assert (ROOT / path).exists()
