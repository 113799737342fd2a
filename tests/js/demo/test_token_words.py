"""The page says of a token what the server's own tools say."""

import json
import subprocess
from typing import Any

from tests.js.client.test_real_server import NODE
from tests.support.servers import ROOT
from tokens import directives
from tokens.claims import parse_claims
from tokens.explain import explain

EXP = 2_000_000_000
VALUES: dict[str, list[Any]] = {
    **{name: [EXP + 0.5, 60] for name in ("exp", "nbf", "iat", "scheduleBefore")},
    "historyStart": [0, EXP],
    "scope": ["connect", "umd connect subscribe"],
    "uid": ["jim", "", 'a"\u202eb', "שלום"],
    "umd": [{"a": ["é", None]}, False, "", [], 1],
    "aud": ["us", ["b", "a"], []],
    "iss": ["us"],
    "jti": ["x"],
    "heartbeatTimeout": [5, 60, 600],
    "alias": ["room"],
    "store": [-1, 1, 90, 60, 7200, 86400, 86400000],
    "react": [True, False, [], ["👍", "❤️", "👍"]],
    "connectionId": [],  # not in a token that opens a connection
}
KEYS = ("chat", "chat-*", "**", "#regex:^a{1}$", 'a"\u009b', "n" * 300)


def stated(rules: directives.Rules) -> list[dict[str, Any]]:
    """Every claim or directive alone, with each of its values."""
    return [
        {name: value}
        for name, rule in rules.items()
        if rule is not directives.OBJECT
        for value in VALUES.get(name, [True, False])
    ]


def tokens() -> list[dict[str, Any]]:
    channels = stated(directives.CHANNEL)
    entries = [
        {kind: {"key": entry}}
        for kind in ("messages", "storage")
        for entry in stated(directives.ENTRIES[kind])
        if kind == "messages" or entry != {"store": 0}
    ]
    named = [{"channels": {key: {"messages": {key: {"publish": True}}}}} for key in KEYS]
    misspelt = {"nope": 1, "messages": {"chat": {"echoes": True, "echo": None}}, "storage": None}
    return [
        *({"jti": "x", **claim} for claim in stated(directives.CLAIMS)),
        *({"channels": {"c": channel}} for channel in [*channels, *entries, misspelt]),
        *named,
        {"nope": None, "channels": None},
    ]


def test_each_claim_and_directive_has_the_same_words() -> None:
    all_claims = [{"exp": EXP, "scope": "connect"} | claims for claims in tokens()]
    script = ROOT / "tests" / "js" / "demo" / "token_words.js"
    given = json.dumps(all_claims).encode()
    said = subprocess.run([NODE, script], input=given, capture_output=True, check=False)
    assert said.returncode == 0, said.stderr.decode()
    for claims, items in zip(all_claims, json.loads(said.stdout), strict=True):
        parsed = parse_claims(json.dumps(claims).encode(), scope="connect")
        assert [item["words"] for item in items] == [*explain(parsed)], claims
