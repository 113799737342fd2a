"""`make bench`: each row is ours against a peer doing the same work in the same run.

Machines differ and are noisy, so the ratio is the figure; times are only for orientation. Each
side runs interleaved several times, and the medians are compared.
"""

import os
import secrets
import sys
import tempfile
from base64 import b64encode
from importlib import import_module
from pathlib import Path
from typing import Final

LONG: Final = (
    "admin",
    "idle",
    "presence",
    "purge",
    "simulate",
    "units",
)  # minutes each: run one by one


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="chatsite-bench-") as directory:
        os.environ.update(
            DJANGO_SETTINGS_MODULE="chatsite.settings",
            DEBUG="false",
            SECRET_KEY=secrets.token_urlsafe(48),
            SIGNING_KEY_1_METHOD="HS256",
            SIGNING_KEY_1_ENCODED=b64encode(secrets.token_bytes(64)).decode(),
            DATABASE_URL=f"sqlite:///{Path(directory) / 'bench.sqlite3'}",
        )
        import django

        django.setup()
        from benchmarks import store, tokens

        print(f"{'what':<44}{'ours':>12}{'peer':>12}{'ratio':>8}  peer")
        for row in (*tokens.rows(), *store.rows()):
            print(row, flush=True)


if __name__ == "__main__":
    which = sys.argv[1].removeprefix("--") if sys.argv[1:] else ""
    if which in LONG:
        import_module(f"benchmarks.{which}").main(*map(int, sys.argv[2:]))
    elif which:
        sys.exit(f"There is no benchmark --{which}; there are --{', --'.join(LONG)}.")
    else:
        main()
