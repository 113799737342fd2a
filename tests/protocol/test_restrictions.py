"""Which rules are found for whom, and how many are held."""

from math import inf

import pytest

from chat.protocol import restrictions
from chat.protocol.errors import ProtocolError
from chat.protocol.restrictions import Ban, Rule, Rules, valid_ban
from tokens.claims import Claims

NOW = 1_000_000.0


def hidden(uid: str) -> str:
    return f"erased:{uid[::-1]}"


def held(*rules: Rule) -> Rules:
    known = Rules(hidden)
    for rule in rules:
        known.put(rule, NOW)
    return known


def ban(
    id: int, uid: str | None = None, address: str = "", channel: str = "", ends_at: float = inf
) -> Rule:
    return Rule(id, id, "", uid, None, address, channel, ends_at)


def revocation(id: int, uid: str, before: float) -> Rule:
    return Rule(id, id, "", uid, before, "", "")


def token(**stated: object) -> Claims:
    fields: dict[str, object] = {"payload": "", "size": 0, "scope": frozenset(), "exp": NOW}
    return Claims(**{**fields, **stated})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("uid", "channel", "found"),
    [
        ("jim", "", True),
        ("jim", "c", True),
        ("pam", "c", True),
        ("pam", "d", False),
        ("pam", "", False),
        ("kim", "c", False),
        (None, "c", False),
        ("mij", "", False),
    ],
)
def test_a_ban_from_all_and_from_a_channel(uid: str | None, channel: str, found: bool) -> None:
    rules = held(ban(1, "jim"), ban(2, "pam", channel="c"))
    assert rules.ban(uid, channel, NOW) is found


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("192.0.2.8", False),
        ("10.255.0.1", True),
        ("11.0.0.1", False),
        ("2001:db8:0:ffff::1", True),
        ("2001:db8:1::", False),
        ("192.0.2", False),
        ("", False),
    ],
)
def test_addresses_and_networks(address: str, found: bool) -> None:
    rules = held(
        ban(1, address="192.0.2.7"), ban(2, address="10.0.0.0/8"), ban(3, address="2001:db8::/48")
    )
    assert rules.ban_address(address, NOW) is found


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        ({"jti": "j"}, True),
        ({"jti": "k"}, False),
        ({}, False),
        ({"uid": "jim", "iat": NOW - 1}, True),
        ({"uid": "jim"}, True),
        ({"uid": "jim", "iat": NOW}, False),
        ({"uid": "pam", "iat": NOW - 1}, False),
    ],
)
def test_tokens(claims: dict[str, object], found: bool) -> None:
    rules = held(Rule(1, 1, "j", None, None, "", ""), revocation(2, "jim", NOW))
    assert rules.revoke(token(**claims), NOW) is found


def test_one_of_several_is_enough_until_the_last_has_ended() -> None:
    rules = held(ban(1, "jim", ends_at=NOW + 1), ban(2, "jim", ends_at=NOW + 2))
    assert rules.ban("jim", "", NOW + 1)
    assert not rules.ban("jim", "", NOW + 2)
    rules.put(ban(2, "jim", ends_at=NOW), NOW)
    assert rules.ban("jim", "", NOW)
    rules.put(ban(1, "jim", ends_at=NOW), NOW)
    assert not rules


def test_who_was_erased_stays_banned_under_what_stands_for_the_uid() -> None:
    assert held(ban(1, hidden("jim"))).ban("jim", "", NOW)
    assert not held(ban(1, hidden("jim"))).ban("pam", "", NOW)


def test_a_process_holds_a_limited_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restrictions, "MAX_REVOCATIONS", 2)
    monkeypatch.setattr(restrictions, "MAX_BANS", 2)
    rules = held(*(revocation(id, str(id), NOW) for id in range(3)))
    assert rules.overflow
    assert [rules.revoke(token(uid=str(id)), NOW) for id in range(3)] == [False, True, True]
    for id in range(10, 13):
        rules.put(ban(id, str(id), ends_at=NOW + id), NOW + id - 1)
    assert [*rules._bans] == [12]  # those before have ended


@pytest.mark.parametrize(
    ("address", "proxies", "banned"),
    [
        ("192.0.2.7/24", "127.0.0.1,::1", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "", "192.0.2.7"),
        ("::ffff:10.0.0.0/104", "", "10.0.0.0/8"),
        ("2001:DB8::1/32", "lb.example.org", "2001:db8::/32"),
        ("10.0.0.0/8", "::ffff:10.1.2.3", None),
        ("10.1.2.3", "192.0.2.1, 10.0.0.0/8", None),
        ("::ffff:10.0.0.0/103", "", None),
        ("192.0.2.7", "*", None),
    ],
)
def test_no_proxy_and_no_wide_network_is_banned(
    address: str, proxies: str, banned: str | None
) -> None:
    if banned is None:
        with pytest.raises(ProtocolError, match=r"address|FORWARDED_ALLOW_IPS"):
            valid_ban(Ban(address=address), proxies)
    else:
        assert valid_ban(Ban(address=address), proxies).address == banned
