"""What is made once for all workers of a test run."""

import atexit
import fcntl
import functools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

DIRECTORY = "TEST_RUN_DIRECTORY"


def directory() -> Path:
    """This run's own: whoever asks first, as pytest does before its workers start, removes it when
    it ends."""
    if DIRECTORY not in os.environ:
        os.environ[DIRECTORY] = tempfile.mkdtemp(prefix="chatsite-run-")
        Path(os.environ[DIRECTORY]).chmod(0o755)
        atexit.register(_remove, os.environ[DIRECTORY], os.getpid())
    return Path(os.environ[DIRECTORY])


@functools.cache
def once(name: str, make: Callable[[Path], object]) -> Path:
    """A directory that `make` has filled, in this process or another of the run."""
    made, done = directory() / name, directory() / f"{name}.done"
    with (directory() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            make(made)
            done.touch()
    return made


def _remove(path: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(path, ignore_errors=True)
