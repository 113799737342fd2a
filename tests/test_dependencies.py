"""What the server needs of its libraries: bounds of their versions, and the private names that
docs/decisions/0006-private-names.md has."""

import ast
import functools
import gc
import importlib
import inspect
import re
import sys
import tomllib
import weakref
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from websockets.server import ServerProtocol

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/decisions/0006-private-names.md"
OURS = ("chat", "chatsite", "tokens")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text("utf-8"))
    for package in OURS
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts
}
DOCUMENTED = {"_base_manager", "_exit", "_fields", "_make", "_meta", "_replace"}  # Django, Python


def quoted(cell: str) -> list[str]:
    """What is in backquotes. `.other` has the parent of the name before it."""
    names: list[str] = []
    for name in re.findall(r"`([^`]+)`", cell):
        names.append(names[-1].rpartition(".")[0] + name if name.startswith(".") else name)
    return names


ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in PAGE.read_text("utf-8").splitlines()
    if line.startswith("| ") and "`" in line
]
BREAKS = {name: breaks for _, names, _, breaks, _ in ROWS for name in quoted(names)}
LAST_PARTS = {name.rpartition(".")[2] for name in BREAKS}


def own_names(node: ast.AST) -> set[str]:
    """The attributes that code of a class reads or sets on its instance, and its methods."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and ast.unparse(each.value) in (
            "self",
            "cls",
            "super()",
        ):
            found.add(each.attr)
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(each.name)
    return found


@functools.cache
def set_by(kind: type) -> set[str]:
    """The attributes that a class's methods set on the instance."""
    try:
        source = ast.parse(inspect.cleandoc("\n" + inspect.getsource(kind)))
    except (OSError, TypeError):  # it is not written in Python
        return set()
    return {
        node.attr
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }


def has(owner: object, name: str) -> bool:
    bases = inspect.getmro(owner) if isinstance(owner, type) else ()
    return hasattr(owner, name) or any(name in set_by(base) for base in bases)


def exists(name: str) -> bool:
    """Whether there is such a module, or such an attribute of a module, a class or an instance."""
    parts = name.split(".")
    owner: object = importlib.import_module(parts[0])
    for at, part in enumerate(parts[1:], 2):
        if inspect.ismodule(owner) and not hasattr(owner, part):
            try:
                importlib.import_module(".".join(parts[:at]))
            except ImportError:
                return False
        if not has(owner, part):
            return False
        owner = getattr(owner, part, None)
    return True


@pytest.mark.parametrize("name", BREAKS)
def test_it_is_still_there(name: str) -> None:
    page = PAGE.relative_to(ROOT)
    assert exists(name), f"{name} is gone: {BREAKS[name]}; see {page}"


@pytest.mark.parametrize("name", ["websockets.speedups.none", "psycopg.none", "uvicorn.Config._x"])
def test_what_is_not_there_is_found_missing(name: str) -> None:
    assert not exists(name)


@pytest.mark.parametrize(("names", "files"), [(row[1], row[2]) for row in ROWS])
def test_each_row_is_used_where_it_says(names: str, files: str) -> None:
    texts = [(ROOT / file).read_text("utf-8") for file in quoted(files)]
    used = [[name.rpartition(".")[2] in text for text in texts] for name in quoted(names)]
    assert all(map(any, used)), f"{names}: {used}"
    assert all(map(any, zip(*used, strict=True))), f"{files}: {used}"


# --- private names in the code ------------------------------------------------------------------


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            root = (node.module or "").partition(".")[0]
            if root not in OURS:
                yield from (alias.name for alias in node.names if is_private(alias.name))


def of_other_objects(tree: ast.Module, ours: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in ours:
            yield node.attr


def inherited(module: str, tree: ast.Module) -> Iterator[str]:
    """The private names that a class shares with its bases in libraries."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            kind = getattr(importlib.import_module(module), node.name)
            known = {*OURS, *sys.stdlib_module_names}
            bases = [b for b in kind.__mro__ if b.__module__.partition(".")[0] not in known]
            for name in filter(is_private, own_names(node)):
                if any(name in vars(base) or name in set_by(base) for base in bases):
                    yield name


def test_no_other_private_name_is_used() -> None:
    ours = set[str]().union(*map(own_names, MODULES.values()))
    for module, tree in MODULES.items():
        used = {*imported(tree), *of_other_objects(tree, ours), *inherited(module, tree)}
        assert used <= LAST_PARTS, f"{module} uses {sorted(used - LAST_PARTS)}"


def test_a_handshake_is_freed_without_the_garbage_collector() -> None:
    handshake = ServerProtocol()
    handshake.receive_data(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n")
    handshake.events_received()
    freed = weakref.ref(handshake)
    gc.disable()
    try:
        vars(handshake).clear()
        del handshake
        assert freed() is None
    finally:
        gc.enable()


# --- versions -----------------------------------------------------------------------------------

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REQUIRED = [re.sub(r"\[.*\]|;.*", "", each) for each in PROJECT["dependencies"]]


def test_each_library_has_a_lower_and_an_upper_bound() -> None:
    bounded = re.compile(r"[\w-]+>=[\d.]+,<[\d.]+")
    assert [each for each in REQUIRED if not bounded.fullmatch(each)] == ["tzdata>=2025.2"]


def test_what_is_imported_is_required() -> None:
    required = {re.split("[<>=]", each)[0] for each in REQUIRED}
    trees = [MODULES[module] for module in MODULES.keys() - {"chat.pytest_plugin"}]
    roots = {name.partition(".")[0] for tree in trees for name in modules_of(tree)}
    distributions = packages_distributions()
    for root in roots - {*OURS, *sys.stdlib_module_names}:
        found = {name.lower().replace("_", "-") for name in distributions[root]}
        assert found & required, f"{root} is imported, and {found} not required"


def modules_of(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
