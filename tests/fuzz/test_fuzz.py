"""Some seconds of `make fuzz`: the same inputs each time, and others that nobody tried before."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.generate import KINDS
from tests.fuzz.run import fuzz, served
from tests.support.servers import Postgres, Server, start_server

SEED = 20_261_128
INPUTS = 10_000


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    settings = served(tmp_path)
    if request.param == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        settings["DATABASE_URL"] = postgres.database()
    kind = "daphne" if request.param == "daphne" else "uvicorn"
    with start_server(kind, tmp_path, **settings) as server:
        yield server


@pytest.mark.parametrize(
    ("target", "seed", "inputs", "kinds"),
    [
        ("uvicorn", SEED, INPUTS, list(KINDS)),
        ("uvicorn", secrets.randbelow(2**32), INPUTS, list(KINDS)),
        ("daphne", SEED, INPUTS // 4, ["text"]),  # close codes and limits are not promised there
        ("postgres", SEED, INPUTS // 4, ["text", "call"]),
    ],
    indirect=["target"],
    ids=["the same", "anew", "daphne", "postgres"],
)
async def test_no_input_harms_anybody(
    target: Server, seed: int, inputs: int, kinds: list[str]
) -> None:
    print(f"SEED={seed}")
    assert not await fuzz(target, seed, inputs, kinds)
