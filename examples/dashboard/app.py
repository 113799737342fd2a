"""A dashboard: its page may only read what the producer publishes."""

import threading
import time
from pathlib import Path

from examples.backend import serve, token
from examples.dashboard.producer import CHANNEL, produce

SHOWN_SECONDS = 60


def connect_token(_: object) -> dict[str, str]:
    grants = {"subscribe": True, "historyStart": int(time.time()) - SHOWN_SECONDS}
    return token("connect", channels={CHANNEL: grants})


if __name__ == "__main__":
    threading.Thread(target=produce, daemon=True).start()
    serve(Path(__file__).parent, 9003, {"/token": connect_token})
