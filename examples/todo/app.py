"""A to-do list for all who open it: each item is an entry of one channel's storage."""

from pathlib import Path

from examples.backend import serve, token

CHANNEL = "todo.shared"
ENTRIES = {"item-*": {"set": True, "observe": True}}


def connect_token(_: object) -> dict[str, str]:
    return token("connect", channels={CHANNEL: {"subscribe": True, "storage": ENTRIES}})


if __name__ == "__main__":
    serve(Path(__file__).parent, 9002, {"/token": connect_token})
