#!/usr/bin/env python
"""Django's command-line entry point: `manage.py help` lists what it can do.

Every command takes `--env-file PATH`: the variables in it are the environment's, as ENV_FILE=PATH.
"""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line

OPTION = "--env-file"
NEED_NO_DATABASE = {
    "check",
    "collectstatic",
    "doctor",
    "help",
    "issue_token",
    "version",
    "--version",
}
HELP = {"-h", "--help"}


def take_env_file(arguments: list[str]) -> list[str]:
    """Makes the option a variable, for the settings and for processes that this one starts."""
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, value = argument.partition("=")
        if name != OPTION:
            rest.append(argument)
            continue
        path = value if equals else next(remaining, "")
        if not path:
            sys.exit(f"{OPTION} must name a file.")
        os.environ["ENV_FILE"] = os.path.abspath(path)
    return rest


def problem(arguments: list[str]) -> str:
    """What keeps this command from running at all, in a sentence, or ""."""
    if sentence := getattr(settings, "ENV_FILE_PROBLEM", ""):
        return sentence
    database = settings.DATABASES["default"]
    free = not arguments or arguments[0] in NEED_NO_DATABASE or HELP & {*arguments}
    return "" if free or "no_database" not in database["ENGINE"] else database["NAME"]


if __name__ == "__main__":
    sys.argv[1:] = take_env_file(sys.argv[1:])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
    os.environ.setdefault("PGAPPNAME", " ".join(["chatsite", *sys.argv[1:2]]))
    if sentence := problem(sys.argv[1:]):
        sys.exit(sentence)
    execute_from_command_line(sys.argv)
