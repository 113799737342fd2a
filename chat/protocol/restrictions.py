"""Which tokens are revoked and who is banned (protocol.md section 19): what may be asked for, and
what is in force. No Django and no clock here: times are unix seconds by the database's clock.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

from msgspec import Struct, structs

from tokens.claims import Claims
from tokens.names import is_storable

from . import addresses, commands
from .errors import ErrorCode, ProtocolError

MAX_JTI_LENGTH: Final = 256
MAX_REASON_LENGTH: Final = 500
MAX_ID_LENGTH: Final = 64  # of a connection: those that there are have 16
LAST_SECOND: Final = 253_402_300_799  # of the year 9999, where the databases' times end
MAX_BANS: Final = 50_000  # in force; all are held in memory by every process
MAX_REVOCATIONS: Final = 50_000  # held in memory; commits ask the database about those before
SHORTEST: Final = {4: 8, 6: 32}  # prefixes of networks that may be banned
SIZE: Final = {4: 32, 6: 128}  # bits of an address
ERASED: Final = "erased:"  # how what stands for the uid of somebody erased begins

Key = tuple[object, ...]
IsBanned = Callable[[str | None, str], bool]
"""Whether this uid may not subscribe to, nor write in, this channel."""


def nobody_is_banned(uid: str | None, channel: str) -> bool:
    return False


# --- what is asked for --------------------------------------------------------------------------


class Selection(Struct, frozen=True, gc=False, rename="camel"):
    """Connections to be closed: those of which all that is given holds. `uid` and `channel`: it has
    one subscription of which both hold."""

    connection_id: str | None = None
    uid: str | None = None
    channel: str | None = None


class Revocation(Struct, frozen=True, gc=False, rename="camel"):
    """Tokens that are good no more: the one with this `jti`, or those of a `uid` that were issued
    before a moment. `expires_at`: until when that is remembered."""

    jti: str | None = None
    uid: str | None = None
    issued_before: float | None = None
    expires_at: float | None = None


class Ban(Struct, frozen=True, gc=False, rename="camel"):
    """Who is let in no more; with a channel, who may not subscribe to it nor write in it."""

    uid: str | None = None
    address: str | None = None
    channel: str | None = None
    until: float | None = None
    reason: str | None = None


def valid_selection(asked: Selection) -> Selection:
    if asked.connection_id is asked.uid is asked.channel is None:
        raise _invalid("connectionId, uid or channel is required.")
    if asked.connection_id is not None:
        _check_text("connectionId", asked.connection_id, MAX_ID_LENGTH)
    _check_names(asked.uid, asked.channel)
    return asked


def valid_revocation(asked: Revocation) -> Revocation:
    if (asked.jti is None) == (asked.uid is None):
        raise _invalid("Either jti or uid is required, and not both.")
    if asked.jti is not None:
        _check_text("jti", asked.jti, MAX_JTI_LENGTH)
        if asked.issued_before is not None:
            raise _invalid("issuedBefore goes with uid, not with jti.")
    _check_names(asked.uid, None)
    _check_time("issuedBefore", asked.issued_before)
    _check_time("expiresAt", asked.expires_at)
    return asked


def valid_ban(asked: Ban, proxies: str) -> Ban:
    """With the address as one writes it. `proxies`, a list with commas, are those whose word is
    taken for addresses: none can be banned."""
    if (asked.uid is None) == (asked.address is None):
        raise _invalid("Either uid or address is required, and not both.")
    if asked.channel is not None and asked.uid is None:
        raise _invalid("channel goes with uid, not with address.")
    _check_names(asked.uid, asked.channel)
    _check_time("until", asked.until)
    if asked.reason and not (len(asked.reason) <= MAX_REASON_LENGTH and is_storable(asked.reason)):
        raise _invalid(f"reason must be text of at most {MAX_REASON_LENGTH} characters.")
    if asked.address is None:
        return asked
    return structs.replace(asked, address=_bannable(asked.address, proxies))


def _bannable(address: str, proxies: str) -> str:
    network = addresses.parse_network(address)
    if network is None:
        raise _invalid("address must be an IP address, or a network such as 192.0.2.0/24.")
    if network.prefixlen < SHORTEST[network.version]:
        shortest = SHORTEST[network.version]
        raise _invalid(f"address must be a network of at most a /{shortest}, not {network}.")
    if proxies == "*":
        raise _invalid(
            "No address can be banned while FORWARDED_ALLOW_IPS is *, which takes each for a proxy."
        )
    trusted = map(addresses.unmapped, addresses.networks(proxies))
    if any(network.version == each.version and network.overlaps(each) for each in trusted):
        raise _invalid(f"address: {network} has a proxy of FORWARDED_ALLOW_IPS.")
    return str(network.network_address if network.num_addresses == 1 else network)


def _check_names(uid: str | None, channel: str | None) -> None:
    if uid is not None:
        commands.valid_uid(uid)
    if channel is not None:
        commands.valid_channel(channel)


def _check_text(field: str, text: str, length: int) -> None:
    if not (0 < len(text) <= length and is_storable(text)):
        raise _invalid(f"{field} must be text of 1 to {length} characters.")


def _check_time(field: str, seconds: float | None) -> None:
    if seconds is not None and not 0 <= seconds <= LAST_SECOND:
        raise _invalid(f"{field} must be unix seconds, from 0 to {LAST_SECOND}.")


def _invalid(message: str) -> ProtocolError:
    return ProtocolError(ErrorCode.INVALID_REQUEST, message)


# --- what is in force ---------------------------------------------------------------------------


class Rule(NamedTuple):
    """A revocation or a ban, as its row has it."""

    number: int  # of its last change
    id: int
    jti: str
    uid: str | None
    issued_before: float | None
    address: str
    channel: str
    ends_at: float = inf

    @property
    def is_ban(self) -> bool:
        return not self.jti and self.issued_before is None

    @property
    def key(self) -> Key:
        """What it is found by."""
        if not self.is_ban:
            return ("jti", self.jti) if self.jti else ("issued", self.uid)
        network = addresses.parse_network(self.address)
        if network is None:
            return "uid", self.uid, self.channel
        return _place(network.version, int(network.network_address), network.prefixlen)


def _place(version: int, address: int, bits: int) -> Key:
    return version, bits, address >> (SIZE[version] - bits)


@dataclass(slots=True, eq=False)
class Rules:
    """Those in force, as far as they are known, up to the change `number`: what is older than
    MAX_REVOCATIONS is not held where they `overflow`. `hidden` gives what stands for the uid of
    somebody who was erased.

    May be read from any thread while one changes it.
    """

    hidden: Callable[[str], str]
    number: int = 0
    overflow: bool = False
    _by_key: dict[Key, tuple[Rule, ...]] = field(default_factory=dict)
    _bans: dict[int, Rule] = field(default_factory=dict)  # by id
    _revocations: dict[int, Rule] = field(default_factory=dict)  # the oldest first
    _networks: Counter[tuple[int, int]] = field(default_factory=Counter)  # version, prefix length
    _hiding: int = 0  # how many are about somebody erased

    def __bool__(self) -> bool:
        return bool(self._by_key)

    def put(self, rule: Rule, now: float) -> None:
        """Adds one, or removes it where it has ended."""
        self._remove(rule.id)
        if rule.ends_at > now:
            self._hold(rule, now)
        self.number = max(self.number, rule.number)  # last: then it is known

    def _hold(self, rule: Rule, now: float) -> None:
        held = self._bans if rule.is_ban else self._revocations
        held[rule.id] = rule
        self._by_key[rule.key] = (*self._by_key.get(rule.key, ()), rule)
        self._count(rule, 1)
        if len(self._revocations) > MAX_REVOCATIONS:
            oldest = next(iter(self._revocations.values()))
            self._remove(oldest.id)
            self.overflow = self.overflow or oldest.ends_at > now
        if len(self._bans) > MAX_BANS:  # so many have not ended
            for each in [each for each in self._bans.values() if each.ends_at <= now]:
                self._remove(each.id)

    def _remove(self, id: int) -> None:
        rule = self._bans.pop(id, None) or self._revocations.pop(id, None)
        if rule is None:
            return
        rest = tuple(each for each in self._by_key[rule.key] if each.id != id)
        if rest:
            self._by_key[rule.key] = rest
        else:
            del self._by_key[rule.key]
        self._count(rule, -1)

    def _count(self, rule: Rule, step: int) -> None:
        version, bits, *_ = rule.key
        if isinstance(version, int) and isinstance(bits, int):
            self._networks = self._networks + Counter({(version, bits): step})  # + drops zeros
        self._hiding += step * (rule.uid or "").startswith(ERASED)

    def _found(self, now: float, *keys: Key) -> list[Rule]:
        return [rule for key in keys for rule in self._by_key.get(key, ()) if rule.ends_at > now]

    def _names(self, uid: str | None) -> tuple[str, ...]:
        if uid is None:
            return ()
        return (uid, self.hidden(uid)) if self._hiding else (uid,)

    def revoke(self, token: Claims, now: float) -> bool:
        """Whether one of them revokes this token."""
        if not self._revocations:
            return False
        keys: list[Key] = [("issued", uid) for uid in self._names(token.uid)]
        rules = self._found(now, ("jti", token.jti), *keys)
        return any(
            rule.issued_before is None or token.iat is None or token.iat < rule.issued_before
            for rule in rules
        )

    def ban(self, uid: str | None, channel: str, now: float) -> bool:
        """Whether this uid is banned, from the channel at least; "": from all."""
        if not self._bans:
            return False
        names = self._names(uid)
        return bool(
            self._found(now, *(("uid", name, of) for name in names for of in {"", channel}))
        )

    def ban_address(self, address: str, now: float) -> bool:
        lengths = self._networks
        if not lengths or (parsed := addresses.number_of(address)) is None:
            return False
        version, number = parsed
        keys = [_place(version, number, bits) for of, bits in lengths if of == version]
        return bool(self._found(now, *keys))


# --- who is checked -----------------------------------------------------------------------------


class Banned(ProtocolError):
    """A handshake of somebody who is banned."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.INVALID_CONNECTION, "You may not connect.")


@dataclass(slots=True, frozen=True, eq=False)
class Bearer:
    """Who is to be let in, or to subscribe where a channel is stated, and by which tokens.
    `revoked` is the refusal where one of these is revoked."""

    tokens: tuple[Claims, ...]
    uid: str | None
    revoked: ErrorCode
    address: str = ""
    channel: str = ""

    def check(self, rules: Rules, now: float) -> None:
        """Raises ProtocolError."""
        if not rules:
            return
        if any(rules.revoke(token, now) for token in self.tokens):
            raise ProtocolError(self.revoked, "The token was revoked.")
        if rules.ban(self.uid, self.channel, now):
            raise banned(ErrorCode.SUBSCRIBE_PERMISSION_DENIED) if self.channel else Banned()
        if self.address and rules.ban_address(self.address, now):
            raise Banned


def banned(code: ErrorCode) -> ProtocolError:
    """The refusal of somebody who is banned from a channel."""
    return ProtocolError(code, "You are banned from this channel.")
