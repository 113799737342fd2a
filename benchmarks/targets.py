"""The figures to reach, as a table: what `make bench` judges and the report shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.measure import interval
from benchmarks.results import Rows
from benchmarks.scenarios.few import FEW, UNDER_WAY
from benchmarks.scenarios.registry import SCENARIOS

TIMES: Final = "\u00d7"
FEWEST_PAIRS: Final = 6
"""For a 95 % interval; of fewer runs, medians are compared."""


@dataclass(frozen=True)
class Outcome:
    title: str
    wanted: str
    got: str
    reached: bool
    by_cpu: str = ""

    def __str__(self) -> str:
        return (
            f"{'reached' if self.reached else 'MISSED':<8}{self.title}: {self.got}{self.by_cpu}"
            f"; to reach: {self.wanted}"
        )


@dataclass(frozen=True)
class Target:
    """`figure` of `side`; with `against` its ratio to that side's. Exactly one bound is given."""

    scenario: str
    title: str
    figure: str
    at_least: float | None = None
    at_most: float | None = None
    against: str = ""
    side: str = "ours"
    unit: str = ""

    @property
    def wanted(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:,g}{self._unit()}"
        return f"≤ {self.at_most:,g}{self._unit()}"

    def _unit(self) -> str:
        if not self.against:
            return self.unit
        return f" {TIMES} {SCENARIOS[self.scenario].title_of(self.against)}"

    def judge(self, rows: Rows) -> Outcome | None:
        """None where it was not measured."""
        value = self._median(rows, self.side)
        between = ""
        if self.against:
            other = self._median(rows, self.against)
            value = value / other if value is not None and other else None
            if value is not None and len(ratios := self._ratios(rows)) >= FEWEST_PAIRS:
                below, value, above = interval(ratios)
                between = f" ({below:.3g} … {above:.3g})"
        if value is None:
            return None
        unit, least, most = self._unit(), self.at_least, self.at_most
        return Outcome(
            self.title,
            self.wanted,
            f"{value:,.3g}{unit}" if value < 1000 else f"{value:,.0f}{unit}",
            value >= least if least is not None else value <= (most or 0.0),
            self._by_cpu(rows) if self.figure == "rate" and self.against else between,
        )

    def _ratios(self, rows: Rows) -> list[float]:
        """Of each run and the one beside it, unless another program had the core all the time."""
        ours, peer = (rows[self.scenario, side][0].runs for side in (self.side, self.against))
        pairs = [(o[self.figure], p[self.figure]) for o, p in zip(ours, peer, strict=False)]
        return [one / other for one, other in pairs if one and other]

    def _by_cpu(self, rows: Rows) -> str:
        """The same ratio of deliveries a second of CPU, which other work on the machine spares."""
        ours, peer = (
            rows[self.scenario, s][0].median("server_us") for s in (self.side, self.against)
        )
        return f" ({peer / ours:,.3g} by CPU)" if ours and peer else ""

    def _median(self, rows: Rows, side: str) -> float | None:
        found = rows.get((self.scenario, side))
        return found[0].median(self.figure) if found else None


def _fan_out(scenario: str, title: str, ws: float, uws: float, nchan: float) -> list[Target]:
    bounds = {"ws": ws, "uws": uws, "nchan": nchan, "tutorial": 50.0}
    found = [
        Target(scenario, title, "rate", at_least=bound, against=peer)
        for peer, bound in bounds.items()
    ]
    if uws < 1:
        stretch = f"{title}, stretch"
        found.append(Target(scenario, stretch, "rate", at_least=1.0, against="uws"))
    return found


def _stored(kind: str, title: str, p99: float) -> list[Target]:
    found = []
    for channels in ("1", "64"):
        name, what = f"stored-{kind}-{channels}", f"stored on {title}, {channels} channels"
        what = what.replace(" 1 channels", " 1 channel")
        found += [
            Target(name, what, "rate", at_least=20, against="orm"),
            Target(name, what, "rate", at_least=0.6, against="plain"),
        ]
    return [
        *found,
        Target(f"steady-{kind}", f"200/s on {title}", "p99_ms", at_most=p99, unit=" ms p99"),
        Target(
            *(f"reactions-{kind}", f"reactions on {title}", "messages"), at_least=5000, unit="/s"
        ),
    ]


def _history(kind: str, title: str) -> list[Target]:
    name, what = f"history-{kind}", f"listMessages on {title}, "
    return [
        *(
            Target(name, what + page, figure, at_most=bound, side=side, unit=unit)
            for side, page in {"first": "first page", "last": "last page"}.items()
            for figure, bound, unit in (("p50_ms", 5, " ms p50"), ("p99_ms", 15, " ms p99"))
        ),
        Target(name, what + "last page", "p50_ms", at_most=1.25, side="last", against="first"),
    ]


def _on_postgresql_alone() -> Iterator[Target]:
    title, side = "across on PostgreSQL alone", "postgresql"
    yield Target("redis-1", f"{title}, 1 → 1", "rate", at_least=80_000, side=side, unit="/s")
    figure = "server_us_message"
    yield Target("redis-1", f"{title}, CPU", figure, at_most=13, side=side, unit=" µs a message")
    paced = f"{side}-paced"
    yield Target("redis-1", f"{title}, 100/s", "p99_ms", at_most=4, side=paced, unit=" ms p99")
    for side, most in (("postgresql", 10), ("redis", 10), ("sqlite", 40)):
        what = f"stored by another process, {SCENARIOS['outside'].title_of(side)}"
        yield Target("outside", what, "p99_ms", at_most=most, side=side, unit=" ms p99")
    yield Target(
        *("stored-two", "stored by two servers on PostgreSQL alone", "rate"),
        at_least=1.2,
        against="one",
        side="two",
    )


TARGETS: Final = (
    *_fan_out("fanout-1", "1 → 1", 1.8, 1.0, 4.0),
    *_fan_out("fanout-100", "1 → 100", 5.0, 0.8, 8.0),
    *_fan_out("fanout-1000", "1 → 1,000", 2.2, 0.8, 1.0),
    *_fan_out("rooms", "500 rooms of 2", 1.5, 0.65, 1.0),
    *(
        Target(
            *(few.name, f"{few.talk.title}, {count} under way, CPU", f"server_us_{count}"),
            at_most=1.0,
            against=peer,
        )
        for few in FEW
        for count in UNDER_WAY
        for peer in ("ws", "uws")
    ),
    Target("idle", "idle connection, memory", "kb", at_most=1.2, against="ws"),
    Target("idle", "idle connection, memory, stretch", "kb", at_most=1.0, against="ws"),
    Target(
        *("handshakes", "handshakes, cached token", "core_rate"),
        at_least=1500,
        side="cached",
        unit="/s a core",
    ),
    Target(
        *("handshakes", "handshakes, fresh token", "core_rate"),
        at_least=1000,
        side="fresh",
        unit="/s a core",
    ),
    *_stored("sqlite", "SQLite", 5),
    *_stored("postgresql", "PostgreSQL", 10),
    *_history("sqlite", "SQLite"),
    *_history("postgresql", "PostgreSQL"),
    Target("redis-1", "across, CPU", "server_us_message", at_most=40, unit=" µs a message"),
    Target("redis-1", "across, 1 → 1", "rate", at_least=20, against="tutorial"),
    Target("redis-1", "across, 100/s", "p99_ms", at_most=5, side="paced", unit=" ms p99"),
    *_on_postgresql_alone(),
    Target("redis-1000", "across, 1 → 1,000", "rate", at_least=10, against="tutorial"),
    Target("redis-1000", "across, 1 → 1,000, CPU", "server_us", at_most=1.2, against="alone"),
    Target(
        *("permissions", "a permission among 100 entries", "check_percent"),
        at_most=3,
        side="many",
        unit=" % of the CPU of a publish",
    ),
    Target("presence", "a join among 1,000", "join_ms", at_most=25, unit=" ms of CPU"),
)
