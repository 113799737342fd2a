"""A run: inputs for parsers and attackers, beside honest clients who must notice nothing."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from django.conf import settings
from django.test import override_settings

from tests.fuzz.attack import Attacker
from tests.fuzz.check import PARSERS, Problem, require
from tests.fuzz.generate import KEYS, generate
from tests.support.connecting import subscribed
from tests.support.grants import room
from tests.support.servers import Server, production

HERE: Final = Path(__file__).parent
AT_ONCE: Final = {"text": 100, "stream": 10, "call": 10, "head": 5}  # others: 20
ATTACKERS: Final = 8
WARM_UP: Final = 200_000  # inputs, after which caches and pools are as large as they get
MAX_GROWTH: Final = 48 * 1024 * 1024
MAX_FAILURES: Final = 20
BAD: Final = ("Traceback", " ERROR ", '"ERROR"', " CRITICAL ", "status=500", '"status":500')


class Batch(NamedTuple):
    """Inputs of one kind that are sent together, with the number of each in its seed."""

    kind: str
    seed: int
    numbers: tuple[int, ...]
    inputs: tuple[bytes, ...]

    @property
    def each(self) -> list[Batch]:
        numbered = zip(self.numbers, self.inputs, strict=True)
        return [Batch(self.kind, self.seed, (number,), (one,)) for number, one in numbered]


def load(path: Path) -> Batch:
    said = json.loads(path.read_text())
    inputs = (each.encode("latin-1") for each in said["inputs"])
    return Batch(said["kind"], said["seed"], tuple(said["numbers"]), tuple(inputs))


def batches(seed: int, inputs: int, kinds: Sequence[str]) -> Iterator[Batch]:
    found: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for number in range(inputs):
        kind, made = generate(seed, number)
        if kind in kinds:
            found[kind].append((number, made))
            if len(found[kind]) == AT_ONCE.get(kind, 20):
                yield Batch(kind, seed, *zip(*found.pop(kind), strict=True))
    for kind, some in found.items():
        yield Batch(kind, seed, *zip(*some, strict=True))


class Run:
    """What happened so far: counts by kind and answer, and the files of what failed."""

    def __init__(self, server: Server) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[Path] = []
        self._port = server.port
        self._idle: asyncio.Queue[Attacker] = asyncio.Queue()
        self._flying: list[Batch] = []
        self._log = server.log.open(errors="replace")
        self._log.seek(0, 2)
        for number in range(ATTACKERS):
            self._idle.put_nowait(Attacker(server.port, number, self.counts))

    async def all(self, batches: Iterable[Batch]) -> None:
        """Returns when all are answered."""
        with override_settings(TOKENS=settings.TOKENS | KEYS):
            async with asyncio.TaskGroup() as tasks:
                for batch in batches:
                    self.counts[batch.kind] += len(batch.inputs)
                    if batch.kind in PARSERS:
                        self._parse(batch)
                        await asyncio.sleep(0)
                    else:
                        tasks.create_task(self._attack(await self._idle.get(), batch))
        while not self._idle.empty():
            self._idle.get_nowait().close()
        self._look_at_log()

    def _parse(self, batch: Batch) -> None:
        for one in batch.each:
            try:
                self.counts[f"{batch.kind}: {PARSERS[batch.kind](*one.inputs)}"] += 1
            except Exception as error:  # whatever it is but what the parser documents
                self._fail(one, error)

    async def _attack(self, attacker: Attacker, batch: Batch) -> None:
        self._flying.append(batch)
        try:
            await self._try(attacker, batch)
        except Exception as error:  # whatever it is, it is told with the inputs
            attacker.close()
            self._fail(*await self._narrowed(batch, error))
        self._flying.remove(batch)
        self._idle.put_nowait(attacker)

    async def _try(self, attacker: Attacker, batch: Batch) -> None:
        await attacker.attack(batch.kind, [*batch.inputs])
        self._look_at_log()

    def _look_at_log(self) -> None:
        """Raises Problem where the server has told of an error since the last look."""
        lines = self._log.readlines()
        for at, line in enumerate(lines):
            if any(word in line for word in BAD):
                raise Problem("".join(lines[at : at + 60]))

    async def _narrowed(self, batch: Batch, error: Exception) -> tuple[Batch, Exception]:
        """Only the input that fails on a connection of its own, where there is one: it may be
        another's, where the log told of it."""
        for one in chain(batch.each, *(other.each for other in self._flying)):
            attacker = Attacker(self._port, 999, Counter())
            try:
                await self._try(attacker, one)
            except Exception as alone:  # as above
                return one, alone
            finally:
                attacker.close()
        return batch, error

    def _fail(self, batch: Batch, error: Exception) -> None:
        path = HERE / "failed" / f"{batch.kind.replace(' ', '-')}-{batch.seed}-{batch.numbers[0]}"
        path.parent.mkdir(exist_ok=True)
        inputs = [each.decode("latin-1") for each in batch.inputs]
        said = {**batch._asdict(), "inputs": inputs, "problem": repr(error)}
        path.write_text(json.dumps(said, indent=1))
        self.failures.append(path)
        print(f"\n{path}: {error!r}"[:1000], flush=True)


@asynccontextmanager
async def honest(server: Server, waited: list[float]) -> AsyncIterator[None]:
    """Two clients talk meanwhile: what one says the other hears, in order, and it is kept. Adds to
    `waited` the seconds from saying to hearing."""
    channels = room("witness", historyStart=0)
    async with (
        subscribed(server, "witness", channels=channels, uid="dwight") as dwight,
        subscribed(server, "witness", channels=channels, uid="pam") as pam,
        asyncio.TaskGroup() as tasks,
    ):

        async def talk() -> None:
            while True:
                began = time.monotonic()
                await dwight.publish("witness", len(waited))
                for client in (pam, dwight):
                    require((await client.receive("chat"))["data"] == len(waited), "heard another")
                waited.append(time.monotonic() - began)
                await asyncio.sleep(0.1)

        talking = tasks.create_task(talk())
        yield
        talking.cancel()
        kept = [message["data"] for message in await dwight.whole_history("witness")]
        require(kept[: len(waited)] == [*range(len(waited))], "other history:", kept)


def served(directory: Path) -> dict[str, str]:
    """The settings of the server that is attacked: as in service, but without limits of rate."""
    return {**production(), **KEYS, "DEMO": "true", "CLIENT_FRAMES_PER_SECOND": "0"}


def memory(server: Server) -> int:
    """The bytes of memory that the server's process holds."""
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * 4096


async def fuzz(server: Server, seed: int, inputs: int, kinds: Sequence[str]) -> list[Path]:
    """The files of what failed, kept seeds first. Raises what others suffered, and Problem where
    memory did not return."""
    run, waited, began, before = Run(server), list[float](), time.monotonic(), 0

    def everything() -> Iterator[Batch]:
        nonlocal before
        yield from (kept for kept in map(load, sorted(HERE.glob("seeds/*"))) if kept.kind in kinds)
        for batch in batches(seed, inputs, kinds):
            yield batch
            done = batch.numbers[-1] + 1
            if len(run.failures) >= MAX_FAILURES:
                break
            if not before and done >= min(WARM_UP, inputs // 2):
                before = memory(server)
            if sys.stdout.isatty():
                speed = done / (time.monotonic() - began)
                print(f"\r{done:,} inputs, {speed:,.0f}/s ", end="", flush=True)

    async with honest(server, waited):
        await run.all(everything())
    took, grown = time.monotonic() - began, memory(server) - before if before else 0
    done = sum(run.counts[kind] for kind in kinds)
    print(f"\n{done:,} inputs in {took:.0f} s, {done / took:,.0f}/s; memory grew by", end=" ")
    print(f"{grown / 2**20:.1f} MiB; others waited {max(waited) * 1000:.0f} ms at most")
    for kind, count in sorted(run.counts.items()):
        print(f"{'  ' if ':' in kind else ''}{kind:<60.60}{count:>12,}")
    require(grown < MAX_GROWTH, "memory grew too much")
    return run.failures
