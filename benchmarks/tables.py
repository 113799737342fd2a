"""The tables of docs/scaling.md, of unit costs, what they reproduce, and what follows from them."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from benchmarks import scale
from benchmarks.fit import cost
from benchmarks.pages import table
from benchmarks.points import CROWDS, DATABASES, RESTING, TOGETHER, Costs, Point, idle_of, visits_of
from benchmarks.queueing import Units, closed_loop, open_loop
from benchmarks.scale import BUSY, MEMBERS, Site

CHUNK: Final = 32
BATCH: Final = 250
SHARES: Final = (0.25, 0.5, 0.75, 0.9)


def about(measured: dict[str, Any]) -> str:
    machine = measured["machine"]
    return (
        f"\nMeasured {measured['date']} at {measured['commit']}, medians of {measured['runs']}"
        f" runs: {machine['cores']} cores ({machine['model']}), Linux {machine['kernel']}, Python"
        f" {machine['python']}, load {machine['load']}.\n\n"
    )


def units(units: Units, costs: dict[str, Costs]) -> str:
    return table(("", "µs", ""), [*_of_messages(units, costs), *_of_connections(costs)])


def _of_messages(units: Units, costs: dict[str, Costs]) -> Iterator[tuple[str, str, str]]:
    def of(*names: str) -> str:
        return " + ".join(short(units[name]) for name in names)

    def parts(place: str) -> str:
        return of(*(f"{place} {name}" for name in ("commit", "channel", "row")))

    def link(place: str) -> str:
        return of(place, f"{place} group", f"{place} message")

    yield "a turn of the event loop", of("turn"), "shared by all that has come"
    yield "what a client sent is read", of("read"), "once for all frames that came together"
    yield "a frame parsed, allowed, encoded", of("frame"), ""
    yield "a socket written to", of("write", "far write"), "and what it takes more among 1,000"
    yield "a delivery in such a write", of("delivery", "far delivery"), "the same"
    for database in DATABASES:
        what = "a commit, each channel in it, each message"
        yield f"stored messages, {database}", parts(database), what
    yield "… PostgreSQL's own", parts("own"), "the same"
    what = "a round trip to Redis, each channel in it, each message; its own copies included"
    yield "telling other processes", link("tell"), what
    yield "hearing of it", link("hear"), "the same, in each process that listens"
    yield "… Redis's own", link("redis"), "the same"
    yield "… for each more that listens", short(costs["PUBLISH in Redis"]["each more"]), ""


def _of_connections(costs: dict[str, Costs]) -> Iterator[tuple[str, str, str]]:
    def measured(name: str) -> str:
        return "; PostgreSQL's own ".join(map(short, costs[name].values()))

    alone, _, several, crowd = TOGETHER
    idle = costs[idle_of(CROWDS[-1])]
    for database in DATABASES:
        together = "; ".join(
            f"of {count} together {measured(visits_of(count, database))}"
            for count in (several, crowd)
        )
        came = measured(visits_of(alone, database))
        yield f"a handshake with a subscription, {database}", came, f"alone; {together}"
        yield f"an end, {database}", measured(f"ends, all together, {database}"), "of many together"
    yield "an idle connection", short(idle["server"]), f"a second; {idle['KB']:.1f} KB of memory"
    yield "an idle process", short(costs[RESTING]["server"]), "a second"


def reproduced(found: Sequence[tuple[str, float, float]]) -> str:
    lines = [
        (what, short(was), short(simulated), f"{simulated / was - 1:+.0%}")
        for what, was, simulated in found
    ]
    worst = max(abs(simulated / was - 1) for _, was, simulated in found)
    lines.append(("**the worst**", "", "", f"{worst:.0%}"))
    return table(("CPU, µs a message or connection", "measured", "simulated", "off"), lines)


def process(units: Units, costs: dict[str, Costs]) -> str:
    """What one process can do on one core, by the model."""
    lines = []
    for members in (1, 100, 1000):
        for chunk, how in ((1, "one message at a time"), (CHUNK, f"{CHUNK} at once")):
            rate = members * _rate(Point(members, chunk), units)
            lines.append((f"deliveries 1 → {members:,}, {how}", short(rate)))
    for database in DATABASES:
        alone = Point(1, database=database)
        together = Point(1, publishers=64, chunk=4, ahead=2, database=database)
        for point, how in ((alone, "one at a time"), (together, "by 64 with 8 each on their way")):
            lines.append((f"stored, {database}, {how}", short(_rate(point, units))))
    for database in DATABASES:
        ends = costs[f"ends, all together, {database}"]["server"]
        came = (
            costs[visits_of(count, database)]["server"] for count in (TOGETHER[0], TOGETHER[-1])
        )
        rates = "; ".join(short(1e6 / (each + ends)) for each in came)
        what = f"handshakes with a subscription and an end, {database}"
        lines.append((f"{what}: alone; {TOGETHER[-1]} together", rates))
    return table(("one process, on one core", "a second"), lines)


def _rate(point: Point, units: Units) -> float:
    """Messages a second of a core."""
    return 1e6 / cost(units, closed_loop(point, units).counts("server"))


def busy(units: Units) -> str:
    """How long a message takes in a process that is so busy: not stored, to 9 of its own."""
    point = Point(MEMBERS - 1, rooms=100)
    one = scale.publishing(units) + point.members * scale.delivering(units)
    lines = []
    for share in SHARES:
        result = open_loop(point, units, share * 1e6 / one)
        half, most = (result.late(each) / 1000 for each in (0.5, 0.99))
        lines.append((f"{share:.0%}", short(share * 1e6 / one), f"{half:.1f} ms", f"{most:.1f} ms"))
    return table(("of a core", "messages a second", "half are there in", "99 % in"), lines)


def sites(sites: Sequence[Site]) -> str:
    kb = sites[0].costs[idle_of(CROWDS[-1])]["KB"]
    rows = {
        "messages a second": [each.messages for each in sites],
        "deliveries a second": [each.messages * (MEMBERS - 1) for each in sites],
        "handshakes a second": [each.arrivals for each in sites],
        "cores of the server, in all": [each.cpu for each in sites],
        "**processes**, half busy": [each.processes for each in sites],
        "connections a process": [each.connections / each.processes for each in sites],
        "memory of their connections, GB": [each.connections * kb / 1e6 for each in sites],
        "other processes that hear a message": [each.hearing for each in sites],
        "cores of Redis": [each.redis for each in sites],
        "**Redis shards**, half busy": [math.ceil(each.redis / BUSY) for each in sites],
        "stored messages a second": [each.stored for each in sites],
        "**rows written a second**": [each.row_writes for each in sites],
        "commits a second, at most": [each.commits for each in sites],
        "cores of PostgreSQL, at most": [each.postgres for each in sites],
        "heads read a second": [each.connections / scale.HEAD_CHECK_SECONDS for each in sites],
        "million messages stored a day": [each.stored * 86_400 / 1e6 for each in sites],
    }
    heads = ("connections", *(f"{each.connections:,}" for each in sites))
    return table(heads, [(what, *map(short, figures)) for what, figures in rows.items()])


def shares(sites: Sequence[Site]) -> str:
    lines = [
        (what, *(f"{each.parts[what] / each.cpu:.0%}" for each in sites)) for what in sites[0].parts
    ]
    heads = ("of the server's CPU", *(f"{each.connections:,}" for each in sites))
    return table(heads, lines)


def walls(large: Site, units: Units, costs: dict[str, Costs]) -> str:
    alone = Site(10_000, 1, units, costs)
    rest = costs[RESTING]["server"] / 1e6
    each = (alone.cpu - rest) / alone.connections
    own = scale.storing(units, "own")
    heard = scale.redis(units, costs, large.hearing)
    together = units["own row"] + (units["own commit"] + units["own channel"]) / BATCH
    lines = [
        ("connections of this load on one core, in one process", short((1 - rest) / each)),
        (f"… and half busy ({BUSY:.0%})", short((BUSY - rest) / each)),
        (
            f"messages a second, heard in {large.hearing:.1f} processes, of one Redis",
            short(1e6 / heard),
        ),
        ("stored messages a second for a core of PostgreSQL, a commit each", short(1e6 / own)),
        (f"… {BATCH} a commit, one channel", short(1e6 / together)),
    ]
    return table(("wall", "where"), lines)


def short(figure: float) -> str:
    """Two digits are true at most."""
    if figure <= 0:
        return "0"
    rounded = round(figure, 1 - math.floor(math.log10(figure)))
    return f"{rounded:,.0f}" if rounded >= 10 or rounded == int(rounded) else f"{rounded:.2g}"
