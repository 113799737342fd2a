"""The container recipe, as far as it can be read without Docker."""

import re
from typing import Any

import pytest
import yaml

from tests.support.servers import ROOT

COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
OWN = {"ENV_FILE", "STATIC_ROOT"}  # the image has its own
VERSION = r"\S+:\d+(\.\d+)+(-\w+)*(@sha256:[0-9a-f]{64})?"


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_a_container_has_no_privileges(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"


def test_nothing_runs_as_root() -> None:
    assert re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)[-1] != "0"
    assert SERVICES["postgres"]["user"] == "postgres"


def test_bases_are_pinned() -> None:
    [base] = re.findall(r"^FROM (.*)$", DOCKERFILE, re.MULTILINE)
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    for image in (base, *images):
        assert re.fullmatch(VERSION, image), image


def test_every_documented_variable_passes_through() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[A-Z].*?) \|", readme, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`([A-Z\d_]+)`", row)} - OWN
    passed = SERVICES["server"]["environment"]
    assert documented - passed.keys() == set()
    for name in documented - {"DEBUG", "DATABASE_URL"}:
        assert passed[name].startswith(f"${{{name}:"), name
    assert SERVICES["purge"]["environment"] == passed


def test_no_secret_has_a_default() -> None:
    """`:?` makes Compose refuse to start with what follows it."""
    passed = SERVICES["server"]["environment"]
    secrets = {name: passed[name] for name in passed if re.search("KEY_1_E|SECRET_KEY", name)}
    secrets["POSTGRES_PASSWORD"] = SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"]
    for name, value in secrets.items():
        assert re.fullmatch(rf"\$\{{{name}(:\?write {name} to .+|:-)\}}", value), name
    assert ":?" in passed["DATABASE_URL"]
    assert passed["DEMO"] == "${DEMO:-false}"
