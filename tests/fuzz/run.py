"""A run: inputs for parsers and attackers, beside honest clients who must notice nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.test import override_settings

from tests.fuzz.attack import Attacker
from tests.fuzz.check import PARSERS, Problem, require
from tests.fuzz.generate import KEYS, generate
from tests.support.client import Client
from tests.support.connecting import subscribed
from tests.support.grants import CHAT
from tests.support.servers import Server

HERE: Final = Path(__file__).parent
AT_ONCE: Final = {"text": 100, "stream": 10, "call": 10, "head": 5}  # by one attacker
PARSED_AT_ONCE: Final = 20  # between two turns of the loop
ATTACKERS: Final = 8
WARM_UP: Final = 20_000  # inputs, after which caches and pools are as large as they get
MAX_GROWTH: Final = 48 * 1024 * 1024
MAX_FAILURES: Final = 20
BAD: Final = ("Traceback", " ERROR ", " CRITICAL ", '" 500')


@dataclass
class Batch:
    """Inputs of one kind that are sent together, with the number of each in its seed."""

    kind: str
    seed: int
    inputs: list[bytes]
    numbers: list[int]

    @classmethod
    def load(cls, path: Path) -> Batch:
        said = json.loads(path.read_text())
        inputs = [each.encode("latin-1") for each in said["inputs"]]
        return cls(said["kind"], said["seed"], inputs, said["numbers"])

    def save(self, problem: str) -> Path:
        path = HERE / "failed" / f"{self.kind.replace(' ', '-')}-{self.seed}-{self.numbers[0]}.json"
        path.parent.mkdir(exist_ok=True)
        inputs = [each.decode("latin-1") for each in self.inputs]
        path.write_text(
            json.dumps({**asdict(self), "inputs": inputs, "problem": problem}, indent=1)
        )
        return path

    def each(self) -> Iterator[Batch]:
        for at, one in enumerate(self.inputs):
            yield Batch(self.kind, self.seed, [one], self.numbers[at : at + 1])


def batches(seed: int, numbers: Iterable[int], kinds: Sequence[str]) -> Iterator[Batch]:
    found: defaultdict[str, list[tuple[bytes, int]]] = defaultdict(list)
    for number in numbers:
        kind, made = generate(seed, number)
        if kind in kinds:
            found[kind].append((made, number))
            if len(found[kind]) == AT_ONCE.get(kind, PARSED_AT_ONCE):
                yield Batch(kind, seed, *map(list, zip(*found.pop(kind), strict=True)))
    for kind, some in found.items():
        yield Batch(kind, seed, *map(list, zip(*some, strict=True)))


class Run:
    """What happened so far: counts by kind and answer, and the files of what failed."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.counts: Counter[str] = Counter()
        self.failures: list[Path] = []
        self._idle: asyncio.Queue[Attacker] = asyncio.Queue()
        self._log = server.log.open(errors="replace")
        self._log.seek(0, 2)
        for number in range(ATTACKERS):
            self._idle.put_nowait(Attacker(server.port, number, self.counts))

    async def all(self, batches: Iterable[Batch]) -> None:
        """Returns when the server has answered them all."""
        async with asyncio.TaskGroup() as tasks:
            for batch in batches:
                self.counts[batch.kind] += len(batch.inputs)
                if batch.kind in PARSERS:
                    self._parse(batch)
                    await asyncio.sleep(0)
                else:
                    tasks.create_task(self._attack(await self._idle.get(), batch))

    def _parse(self, batch: Batch) -> None:
        for one in batch.each():
            try:
                self.counts[f"{batch.kind}: {PARSERS[batch.kind](one.inputs[0])}"] += 1
            except Exception as error:  # whatever it is but what the parser documents
                self._fail(one, error)

    async def _attack(self, attacker: Attacker, batch: Batch) -> None:
        try:
            await self._try(attacker, batch)
        except Exception as error:  # whatever it is, it is told with the inputs
            attacker.close()
            self._fail(*await self._narrowed(batch, error))
        self._idle.put_nowait(attacker)

    async def _try(self, attacker: Attacker, batch: Batch) -> None:
        await attacker.attack(batch.kind, batch.inputs)
        lines = self._log.readlines()
        bad = next((at for at, line in enumerate(lines) if any(map(line.__contains__, BAD))), None)
        if bad is not None:
            raise Problem("".join(lines[bad : bad + 60]))

    async def _narrowed(self, batch: Batch, error: Exception) -> tuple[Batch, Exception]:
        """Only the input that fails on a connection of its own, where there is one."""
        for one in batch.each():
            attacker = Attacker(self.server.port, 999, Counter())
            try:
                await self._try(attacker, one)
            except Exception as alone:  # as above
                return one, alone
            finally:
                attacker.close()
        return batch, error

    def _fail(self, batch: Batch, error: Exception) -> None:
        self.failures.append(batch.save(repr(error)))
        print(f"\n{self.failures[-1]}: {error!r}"[:1000], flush=True)

    def close(self) -> None:
        while not self._idle.empty():
            self._idle.get_nowait().close()
        self._log.close()


class Witness:
    """Two honest clients: what one says is heard by the other, in order, and kept."""

    def __init__(self, jim: Client, pam: Client) -> None:
        self._jim, self._pam = jim, pam
        self._said = 0
        self.worst = 0.0  # seconds from saying to hearing

    async def talk(self) -> None:
        while True:
            began = time.monotonic()
            await self._jim.publish("witness", self._said)
            for client in (self._pam, self._jim):
                require((await client.receive("chat"))["data"] == self._said, "heard another")
            self.worst = max(self.worst, time.monotonic() - began)
            self._said += 1
            await asyncio.sleep(0.1)

    async def check(self) -> None:
        kept = [message["data"] for message in await self._jim.whole_history("witness")]
        require(kept[: self._said] == [*range(self._said)], "other history:", kept)


@asynccontextmanager
async def witness(server: Server) -> AsyncIterator[Witness]:
    granted = {"witness": {"subscribe": True, "historyStart": 0, "messages": CHAT}}
    async with (
        subscribed(server, "witness", uid="dwight", channels=granted) as jim,
        subscribed(server, "witness", uid="pam", channels=granted) as pam,
        asyncio.TaskGroup() as tasks,
    ):
        one = Witness(jim, pam)
        talking = tasks.create_task(one.talk())
        yield one
        talking.cancel()
        await one.check()


def memory(server: Server) -> int:
    """The bytes of memory that the server's process holds."""
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * 4096


async def fuzz(
    server: Server, seed: int, inputs: int, kinds: Sequence[str], *, progress: bool = False
) -> list[Path]:
    """The files of what failed, kept seeds first. Raises Problem where others suffered, or memory
    did not return."""
    began = time.monotonic()
    run, before = Run(server), 0

    def everything() -> Iterator[Batch]:
        nonlocal before
        kept = map(Batch.load, sorted(HERE.glob("seeds/*.json")))
        yield from (batch for batch in kept if batch.kind in kinds)
        for batch in batches(seed, range(inputs), kinds):
            yield batch
            done = batch.numbers[-1] + 1
            if len(run.failures) >= MAX_FAILURES:
                break
            if not before and done >= min(WARM_UP, inputs // 2):
                before = memory(server)
            if progress:
                speed = done / (time.monotonic() - began)
                print(f"\r{done:,} inputs, {speed:,.0f}/s ", end="", flush=True)

    with override_settings(TOKENS=settings.TOKENS | KEYS):
        async with witness(server) as others:
            await run.all(everything())
            run.close()
    took, grown = time.monotonic() - began, memory(server) - before
    print(f"\n{inputs:,} inputs in {took:.0f} s, {inputs / took:,.0f}/s; others waited", end=" ")
    print(f"{others.worst * 1000:.0f} ms at most; memory grew by {grown / 2**20:.1f} MiB")
    for kind, count in sorted(run.counts.items()):
        print(f"{'  ' if ':' in kind else ''}{kind:<60.60}{count:>12,}")
    require(grown < MAX_GROWTH, "memory grew too much")
    return run.failures


async def replay(server: Server, path: Path) -> list[Path]:
    run = Run(server)
    with override_settings(TOKENS=settings.TOKENS | KEYS):
        await run.all([Batch.load(path)])
    run.close()
    return run.failures
