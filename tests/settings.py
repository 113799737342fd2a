"""The site's settings for tests that run inside pytest: fresh keys, whatever `.env` says."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.support.servers import server_environment

directory = Path(tempfile.mkdtemp(prefix="chatsite-tests-"))
atexit.register(shutil.rmtree, directory, ignore_errors=True)
os.environ.update(server_environment(directory))

from chatsite.settings import *  # noqa: E402, F403
from chatsite.settings import DATABASES  # noqa: E402

# A file, as in service: WAL, several connections and threads behave as they do there.
DATABASES["default"]["TEST"] = {"NAME": str(directory / "test.sqlite3")}
