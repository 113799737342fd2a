"""The import law and the sizes that the house keeps (design.md section 1)."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for package in ("chatsite", "chat", "tokens")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts
}
MODULES["manage"] = ROOT / "manage.py"

# The law: a room imports from itself and from floors below it, never from beside or above it
# (docs/design.md). The longest name that fits is a module's room.
FLOORS = (
    ("chatsite",),
    ("chat.admin", "chat.management"),
    ("chat",),  # apps, checks, doctor, routing, urls, signals: the front doors of the app
    ("chat.api", "chat.purge", "chat.server"),
    ("chat.connections", "chat.http"),
    ("chat.actions",),
    ("chat.runtime",),
    ("chat.cluster", "chat.webhooks"),
    ("chat.store",),
    ("chat.fanout", "chat.models"),
    ("chat.conf", "chat.counts", "chat.logs"),
    ("chat.protocol",),
    ("tokens",),
)
FLOOR_OF = {room: -floor for floor, rooms in enumerate(FLOORS) for room in rooms}

PURE = [
    *(f"tokens.{name}" for name in ("names", "patterns", "claims", "permissions")),
    *(name for name in MODULES if name.startswith("chat.protocol.")),
    "chat.server.frames",
]

READS_ENVIRONMENT = {"chatsite.settings", "chatsite.asgi", "chat.__init__", "manage"}
WALL_CLOCK = r"\b(time\.time|datetime\.(utc)?now|timezone\.now|timezone import now)\b"
READS_WALL_CLOCK = {
    "tokens.api",  # to issue tokens
    # tokens expire by the clock of the host that verifies them
    *("chat.actions.connections", "chat.runtime.connection"),
    *("chat.actions.publishing", "chat.runtime.node", "chat.store.reports"),  # ids, which no order
    *("chat.store.transaction", "chat.purge"),  # SQLite's clock
    "chat.testing",  # ids
    "chat.doctor.database",  # whose clock it compares with this host's
    "chat.users",  # how long a logout is remembered
    "chat.webhooks",  # the signature's
    "chat.admin.messages",  # the name of an export
}
FUNCTION_LINES = 40

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def room_of(name: str) -> str:
    """`chat.models.messages` is in `chat.models`."""
    return max((room for room in FLOOR_OF if f"{name}.".startswith(f"{room}.")), key=len)


def imports(module: str) -> Iterator[str]:
    """What a module imports, anywhere in it, by absolute name."""
    package = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
    if package and package[-1] == "__init__":
        package = package[:-1]
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names = (f"{origin}.{alias.name}" for alias in node.names)
            yield from (name if name in MODULES else origin for name in names)


def functions(module: str) -> Iterator[Function]:
    return (node for node in ast.walk(tree(module)) if isinstance(node, Function))


def test_pure_modules_load_neither_django_nor_channels() -> None:
    script = """
import importlib, json, sys
loaded = {}
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
    loaded[name] = sorted({"django", "channels", "asyncio"} & set(sys.modules))
print(json.dumps(loaded))
"""
    outcome = subprocess.run(
        [sys.executable, "-c", script, json.dumps(PURE)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(outcome.stdout) == {name: [] for name in PURE}


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"manage"}))
def test_imports_go_down(module: str) -> None:
    own = room_of(module)
    ours = {name for name in imports(module) if name.split(".")[0] in FLOOR_OF}
    rooms = {room_of(name) for name in ours} - {own}
    up = {room for room in rooms if FLOOR_OF[room] >= FLOOR_OF[own]}
    assert not up, f"{module} imports from {sorted(up)}"


@pytest.mark.parametrize("module", sorted(set(MODULES) - READS_ENVIRONMENT))
def test_only_the_settings_read_the_environment(module: str) -> None:
    attributes = {
        ast.unparse(node) for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)
    }
    assert not attributes & {"os.environ", "os.getenv", "os.environb"}


@pytest.mark.parametrize("module", MODULES)
def test_no_time_of_this_host_is_compared_with_another_s(module: str) -> None:
    """Rows have the database's times, and are compared with its clock."""
    code = ast.unparse(tree(module))
    assert module in READS_WALL_CLOCK or not re.search(WALL_CLOCK, code)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"manage"}))
def test_the_apps_do_not_name_the_site(module: str) -> None:
    named = "chatsite" in MODULES[module].read_text(encoding="utf-8")
    assert not named or room_of(module) == "chatsite"


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("chat.")])
def test_no_query_goes_past_the_database_that_is_named(module: str) -> None:
    """`chat.store.databases` has the connection of the one that CHAT["DATABASE"] names."""
    names = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    own = {
        "django.db.connection",
        "django.db.transaction.atomic",
        "django.db.transaction.on_commit",
    }
    assert not names & own


@pytest.mark.parametrize("module", MODULES)
def test_no_function_is_long(module: str) -> None:
    for function in functions(module):
        assert function.end_lineno is not None
        assert function.end_lineno - function.lineno < FUNCTION_LINES, function.name


# `make test-nginx` runs tests of these layers a second time, through nginx.
RUN_AGAIN = {"nginx": {"wire", "browser"}}


def test_no_test_imports_from_the_tests_of_another_layer() -> None:
    """What they share is in tests/support."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        layer, *rest = path.relative_to(ROOT / "tests").parts
        allowed = {"support", *([layer] if rest else []), *RUN_AGAIN.get(layer, ())}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                layers = {name.split(".")[1] for name in names}
                assert layers <= allowed, f"{path.name} imports {names}"
