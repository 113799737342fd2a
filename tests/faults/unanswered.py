"""Settings of a server that dies, as by kill -9, after the COMMIT of an operation with an ack and
before anybody is told."""

import os
import signal

from django.apps import AppConfig

from chatsite.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, f"{__name__}.Unanswered"]  # noqa: F405


class Unanswered(AppConfig):
    name = "tests.faults"
    label = "unanswered"

    def ready(self) -> None:
        from chat.store import writer
        from chat.store.transaction import Transaction

        notify = writer._notify

        def die(transaction: Transaction) -> None:
            if transaction.rows.get("acknowledgement"):
                os.kill(os.getpid(), signal.SIGKILL)
            notify(transaction)

        writer._notify = die
