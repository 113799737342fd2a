"""Team chat: whoever gives a name may join the team's presence channel."""

from pathlib import Path

from examples.backend import serve, token

CHANNEL = "presence.team"
KEPT_SECONDS = 7 * 24 * 3600
MESSAGES = {
    "chat": {"publish": True, "echo": True, "store": KEPT_SECONDS},
    "typing": {"publish": True},
}


def connect_token(person: dict[str, str]) -> dict[str, str]:
    name = str(person["name"]).strip()
    if not 0 < len(name) <= 40:
        raise ValueError("name")
    grants = {"subscribe": True, "historyStart": 0, "messages": MESSAGES}
    return token("connect", uid=name, channels={CHANNEL: grants})


if __name__ == "__main__":
    serve(Path(__file__).parent, 9001, {"/token": connect_token})
