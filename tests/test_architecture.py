"""The import law and the sizes that the house keeps (design.md section 1)."""

import ast
import json
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

PURE = [
    *(f"tokens.{name}" for name in ("names", "patterns", "claims", "permissions")),
    *(name for name in MODULES if name.startswith("chat.protocol.")),
]

# What each part may import of the project; itself it always may.
ALLOWED = {
    "tokens": set(),
    "chat.protocol": {"tokens"},
    "chat.models": {"tokens", "chat.protocol"},
    "chat.delivery": {"tokens", "chat.protocol", "chat.models"},
    "chat.actions": {"tokens", "chat.protocol", "chat.models", "chat.delivery", "chat.node"},
    "chat.purge": {"chat.models"},
    "chat": {
        *("tokens", "chat.protocol", "chat.models", "chat.delivery", "chat.actions"),
        "chat.purge",
    },
    "chatsite": {"tokens", "chat"},
}

# `chat.node` is what a process holds: it stands between the doors and what is delivered.
NODE = {"tokens", "chat.protocol", "chat.models", "chat.delivery"}

READS_ENVIRONMENT = {"chatsite.settings", "chatsite.asgi", "chat.__init__", "manage"}
MODULE_LINES = 300
FUNCTION_LINES = 60

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def part(module: str) -> str:
    """The part of the house that a module is in: `chat.models.fields` is in `chat.models`."""
    if module == "chat.node":
        return module
    return max((name for name in ALLOWED if f"{module}.".startswith(f"{name}.")), key=len)


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


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    if module == "manage":
        return
    home = part(module)
    allowed = {home, *(NODE if home == "chat.node" else ALLOWED[home])}
    ours = {
        name for name in imports(module) if name.split(".")[0] in ("chatsite", "chat", "tokens")
    }
    back = {name for name in ours if not reaches(name, allowed)}
    assert not back, f"{module} imports {sorted(back)}"


def reaches(name: str, allowed: set[str]) -> bool:
    return part(name) in allowed or any(f"{part(name)}.".startswith(f"{a}.") for a in allowed)


@pytest.mark.parametrize("module", sorted(set(MODULES) - READS_ENVIRONMENT))
def test_only_the_settings_read_the_environment(module: str) -> None:
    attributes = {
        ast.unparse(node) for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)
    }
    assert not attributes & {"os.environ", "os.getenv", "os.environb"}


@pytest.mark.parametrize("module", MODULES)
def test_no_module_and_no_function_is_long(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= MODULE_LINES
    for function in functions(module):
        assert function.end_lineno is not None
        assert function.end_lineno - function.lineno < FUNCTION_LINES, function.name
