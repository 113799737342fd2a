"""`python -m benchmarks.outside COUNT PAUSE`: publishes stored messages from a process that serves
nobody, and prints when each was begun and when it was stored, by the clock of all processes."""

import json
import os
import sys
import time
from typing import Final

CHANNEL: Final = "outside"


def main(count: int, pause: float) -> None:
    import django

    django.setup()
    from chat import api

    times = []
    for _ in range(count):
        began = time.perf_counter()
        api.publish(CHANNEL, "chat", "a message of an ordinary length", store=86400)
        times.append((began, time.perf_counter()))
        time.sleep(pause)
    print(json.dumps(times))
    sys.stdout.flush()
    os._exit(0)  # the pool's threads wait for nobody


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
