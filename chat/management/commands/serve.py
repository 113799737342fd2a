"""`manage.py serve`: runs the server as it must be run (design.md section 5)."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from chat import server


class Command(BaseCommand):
    help = "Runs the chat server with uvicorn."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: object, host: str, port: int, **options: object) -> None:
        server.run(host, port)
