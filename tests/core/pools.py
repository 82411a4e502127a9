"""What the tests of children share."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.core.processes import ChildPool, Limits

MIB = 1024 * 1024
LIMITS = Limits(memory_bytes=256 * MIB, cpu_seconds=20, seconds_per_frame=10, seconds_in_all=20)


def pool(target: str, *, size: int = 1, recycle_after: int = 100, **limits: Any) -> ChildPool:
    return ChildPool(
        f"tests.core.child_targets:{target}",
        replace(LIMITS, **limits),
        size=size,
        recycle_after=recycle_after,
    )


async def everything(children: ChildPool, **request: Any) -> list[Any]:
    return [item async for item in children.stream(request)]


def is_gone(pid: int) -> bool:
    """True also for a zombie: an orphan's is whoever's who adopted it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(2):
        while not is_gone(pid):
            await asyncio.sleep(0.01)
