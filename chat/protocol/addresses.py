"""Addresses of clients and of proxies, from the text in which they come."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

CUSTOMER_BITS: Final = 64  # of IPv6: within such a network one client can take any address


@lru_cache(4096)
def network(address: str) -> str:
    """What counts as one address: one of IPv4, a /64 of IPv6; other text as it is."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), CUSTOMER_BITS), strict=False))
    return str(parsed or address)


@lru_cache(4096)
def is_among(address: str, named: str) -> bool:
    """Whether `named` has it: addresses and networks, with commas between, or `*`."""
    parsed = _parsed(address)
    return named == "*" or any(parsed in each for each in networks(named) if parsed is not None)


def networks(named: str) -> list[IPv4Network | IPv6Network]:
    """Those in a list with commas between; what is neither address nor network is left out."""
    found = []
    for each in named.split(","):
        try:
            found.append(ip_network(each.strip()))
        except ValueError:
            continue
    return found


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """An IPv4-mapped address as the IPv4 address that it stands for."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return (parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None) or parsed
