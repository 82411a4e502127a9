"""Chaos from its first fault to the verdict."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

from app.chaos.account import Account
from app.chaos.asking import People
from app.chaos.checks import Violation, judge
from app.chaos.evidence import Evidence, collect
from app.chaos.faults import FAULTS, PATIENCE, Fault, Scene, Told
from app.chaos.growth import growth
from app.chaos.house import House, open_house
from app.chaos.workers import Worker

Say = Callable[[str], None]

_PAUSE_SECONDS = (1.0, 5.0)  # between two faults
_TOGETHER = 0.2  # how often a second one strikes meanwhile
_DRAIN_SECONDS = 120.0
_SHOWN = 20  # violations that are printed


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault and what came of it."""

    fault: Fault
    told: Told


async def rage(seed: int, minutes: float, say: Say, log: Path | None = None) -> list[Violation]:
    """Let faults happen to workers at work for so long; print the story and judge it.

    Args:
        seed: of the dice. The same faults come in the same order; their moments differ.
        minutes: how long work is asked for and faults happen.
        say: takes each line.
        log: where the workers write; without one it is thrown away.

    Returns:
        The promises that were not kept.
    """
    account = Account()
    async with open_house(log) as house:
        people = People(house.db, house.queue, account, Random(f"{seed} people"))
        storm = _Storm(house, people, seed, say)
        async with _at_work(house):
            say(f"chaos with seed {seed}, {minutes:g} min: 2 arq and 2 database workers at work")
            asking = asyncio.create_task(people.run())
            await storm.rage(60 * minutes)
            people.go_home()
            await asking
            say("the faults are over; what was asked for is worked off")
            await house.drained(_DRAIN_SECONDS)
        evidence = await collect(house, account.jobs, [*account.surprises, *storm.unrecovered])
    violations = judge(evidence)
    for line in [*_numbers(account, evidence, storm.struck), *_verdict(violations)]:
        say(line)
    return violations


@asynccontextmanager
async def _at_work(house: House) -> AsyncGenerator[None]:
    """All workers at work and watched while the block lasts, then told to stop."""
    house.crew.start()
    for worker in house.crew.workers:
        if not await house.signed_in(worker.pid, PATIENCE):
            raise TimeoutError(f"{worker.name} did not come to work")
    watching = asyncio.create_task(house.crew.watch())
    yield
    watching.cancel()
    await house.crew.stop()


class _Storm:
    """One fault after the other, sometimes two at once."""

    def __init__(self, house: House, people: People, seed: int, say: Say) -> None:
        self.struck: list[Struck] = []
        self._house = house
        self._people = people
        self._dice = Random(f"{seed} faults")
        self._say = say
        self._began = time.monotonic()
        self._deck: list[Fault] = []

    @property
    def unrecovered(self) -> list[str]:
        """A sentence for each fault from which there was no recovery."""
        return [f"{s.fault.name}: {s.told.what}" for s in self.struck if not s.told.recovered]

    async def rage(self, seconds: float) -> None:
        """Strike until the time is over; the last fault may take longer."""
        self._began = time.monotonic()
        while True:
            pause = self._dice.uniform(*_PAUSE_SECONDS)
            if time.monotonic() - self._began + pause > seconds:
                await asyncio.sleep(self._began + seconds - time.monotonic())
                return
            await asyncio.sleep(pause)
            faults = [self._draw()]
            if self._dice.random() < _TOGETHER:
                faults += [self._draw(beside=faults[0])]
            workers = self._dice.sample(self._house.crew.workers, len(faults))
            seeds = [self._dice.random() for _ in faults]
            await asyncio.gather(*map(self._strike, faults, workers, map(Random, seeds)))

    def _draw(self, beside: Fault | None = None) -> Fault:
        """The next of a shuffled deck, so that each kind comes as often; not at the same server."""
        if not self._deck:
            self._deck = self._dice.sample(FAULTS, len(FAULTS))
        taken = beside.target if beside is not None and beside.target != "worker" else None
        free = [fault for fault in self._deck if fault.target != taken]
        fault = free[-1] if free else FAULTS[0]
        if fault in self._deck:
            self._deck.remove(fault)
        return fault

    async def _strike(self, fault: Fault, worker: Worker, dice: Random) -> None:
        whom = worker.name if fault.target == "worker" else fault.target
        moment = time.monotonic() - self._began
        worker.in_hand = fault.target == "worker"
        try:
            told = await fault.strike(Scene(self._house, self._people, dice, worker))
        finally:
            worker.in_hand = False
        self.struck.append(Struck(fault, told))
        self._say(f"{moment:7.1f} s  {fault.name:<21} {whom:<11} {told.lasted:5.1f} s  {told.what}")


def _numbers(account: Account, e: Evidence, struck: Sequence[Struck]) -> Iterator[str]:
    ended = Counter(row.status for row in e.rows.values())
    ways = ", ".join(f"{count:,} {status}" for status, count in sorted(ended.items()))
    perhaps = sum(not asked.certain for asked in account.jobs.values())
    yield f"jobs     {account.accepted:,} accepted, {perhaps} perhaps, {account.refused} refused"
    yield f"ends     {ways}"
    done = sum(sum(items.values()) for items in e.effects.values())
    shares = _attempts(e)
    engines = ", ".join(f"{count:,} on {engine}" for engine, count in sorted(shares.items()))
    yield f"work     {done:,} items in {shares.total():,} attempts: {engines}"
    yield f"faults   {len(struck)}: {_kinds(struck)}"
    times = [s.told.recovery for s in struck if s.told.recovery is not None]
    if times:
        yield f"recovery p50 {median(times):.1f} s, longest {max(times):.1f} s"
    yield f"workers  {_sizes(e)}"


def _attempts(e: Evidence) -> Counter[str]:
    """How often a job was started on each engine."""
    engines = {str(life.pid): life.name.partition("-")[0] for life in e.lives}
    starts = [line for trail in e.events.values() for line in trail if line.kind == "started"]
    ids = [(line.worker or "").split(":") for line in starts]
    return Counter(engines.get("".join(parts[-2:-1]), "neither") for parts in ids)


def _kinds(struck: Sequence[Struck]) -> str:
    count = Counter(s.fault.name for s in struck)
    return ", ".join(f"{name} {count[name]}" for name in (f.name for f in FAULTS) if count[name])


def _sizes(e: Evidence) -> str:
    samples = [sample for life in e.lives for sample in life.samples]
    slopes = [grown for grown in map(growth, e.lives) if grown is not None]
    said = f"{len(e.lives)} processes"
    if samples:
        most = max(sample.resident_bytes for sample in samples) / 2**20
        said += f", at most {most:.0f} MiB and {max(s.open_files for s in samples)} open files"
    if slopes:
        memory = max(grown.bytes_per_minute for grown in slopes) / 2**20
        files = max(grown.files_per_minute for grown in slopes)
        said += f"; steepest growth {memory:+.2f} MiB/min, {files:+.1f} files/min"
    return said


def _verdict(violations: Sequence[Violation]) -> Iterator[str]:
    for violation in violations[:_SHOWN]:
        yield f"BROKEN   {violation.promise}: {violation.sentence}"
    if len(violations) > _SHOWN:
        yield f"BROKEN   and {len(violations) - _SHOWN} more"
    yield "verdict  " + (f"{len(violations)} violations" if violations else "every promise kept")
