"""`make fuzz`: SEED=n INPUTS=n. What failed is in tests/fuzz/failed; REPLAY=file tries it again.
Once it is mended its file goes to tests/fuzz/seeds, and runs first from then on."""

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
from pathlib import Path

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from tests.fuzz.generate import KINDS  # noqa: E402
from tests.fuzz.run import Run, fuzz, load, served  # noqa: E402
from tests.support.servers import start_server  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
parser.add_argument("--inputs", type=int, default=200_000)
parser.add_argument("--replay", type=Path)
asked = parser.parse_args()
with (
    tempfile.TemporaryDirectory() as directory,
    start_server("uvicorn", Path(directory), **served(Path(directory))) as server,
):
    if asked.replay:
        run = Run(server)
        asyncio.run(run.all([load(asked.replay)]))
        failures = run.failures
    else:
        print(f"SEED={asked.seed} INPUTS={asked.inputs}", flush=True)
        failures = asyncio.run(fuzz(server, asked.seed, asked.inputs, list(KINDS)))
sys.exit(f"{len(failures)} failed." if failures else 0)
