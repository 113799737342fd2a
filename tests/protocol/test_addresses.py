"""What counts as one address, and which are a proxy's."""

import pytest

from chat.protocol.addresses import is_among, network


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", "unknown"),
        ("192.0.2.1, 192.0.2.2", "192.0.2.1, 192.0.2.2"),
    ],
)
def test_ipv6_counts_by_its_network(address: str, counted: str) -> None:
    assert network(address) == counted


@pytest.mark.parametrize(
    ("address", "named", "found"),
    [
        ("127.0.0.1", "127.0.0.1,::1", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("10.1.2.3", "::1, 10.0.0.0/8", True),
        ("10.1.2.3", "::1,lb.example.org, 10.0.0.1", False),
        ("unknown", "10.0.0.0/8,unknown", False),
        ("unknown", "*", True),
        ("", "", False),
    ],
)
def test_who_is_named(address: str, named: str, found: bool) -> None:
    assert is_among(address, named) is found
