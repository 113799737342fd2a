"""Publishes the load of some services (here an invented one), with the API key, each second."""

import random
import time

from examples.backend import publish

CHANNEL = "dashboard.load"
SERVICES = ("web", "search", "mail", "database")
KEPT_SECONDS = 300


def produce() -> None:
    load = dict.fromkeys(SERVICES, 50.0)
    while True:
        for service, percent in load.items():
            change = random.uniform(-10, 10)  # noqa: S311
            load[service] = round(min(100, max(0, percent + change)), 1)
        try:
            publish(channel=CHANNEL, event="load", data=load, store=KEPT_SECONDS)
        except OSError as error:
            print(f"not published: {error}", flush=True)
        time.sleep(1)


if __name__ == "__main__":
    produce()
