"""Addresses of clients and of proxies, from the text in which they come."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

CUSTOMER_BITS: Final = 64  # of IPv6: within such a network one client can take any address
MAPPED_BITS: Final = 96  # of ::ffff:0:0/96, in which each address of IPv4 has one of IPv6

Network = IPv4Network | IPv6Network


@lru_cache(4096)
def network(address: str) -> str:
    """What counts as one address: one of IPv4, a /64 of IPv6; other text as it is."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), CUSTOMER_BITS), strict=False))
    return str(parsed or address)


@lru_cache(4096)
def is_loopback(address: str) -> bool:
    """Whether only this machine has it."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


@lru_cache(4096)
def is_among(address: str, named: str) -> bool:
    """Whether `named` has it: addresses and networks, with commas between, or `*`."""
    parsed = _parsed(address)
    return named == "*" or any(parsed in each for each in networks(named) if parsed is not None)


def networks(named: str) -> list[Network]:
    """Those in a list with commas between; what is neither address nor network is left out."""
    found = []
    for each in named.split(","):
        try:
            found.append(ip_network(each.strip()))
        except ValueError:
            continue
    return found


def parse_network(text: str) -> Network | None:
    """An address or a network, without the bits of its hosts; an IPv4-mapped one as the IPv4 one
    that it stands for. None: it is neither."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    return None if "%" in text else unmapped(network)


def unmapped(network: Network) -> Network:
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - MAPPED_BITS))


def number_of(address: str) -> tuple[int, int] | None:
    """An address as the version of IP and a number; None: it is none."""
    parsed = _parsed(address)
    return None if parsed is None else (parsed.version, int(parsed))


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """An IPv4-mapped address as the IPv4 address that it stands for."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return (parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None) or parsed
