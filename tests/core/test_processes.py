"""Pools of real children: what they yield, when they are replaced, what they cost the loop."""

import asyncio
import os
import signal
import threading
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from app.core.processes import ChildDied, ChildPool, Refused
from tests.core.pools import LIMITS, MIB, everything, is_gone, pool, until_gone


async def test_a_child_starts_on_first_use_and_serves_many_requests() -> None:
    async with pool("count") as children:
        assert children.pids == set()

        assert await everything(children, to=3) == [0, 1, 2]

        first = children.pids
        assert await everything(children, to=0) == []
        assert await everything(children, to=10_000) == list(range(10_000))
        assert children.pids == first
        assert len(first) == 1

    assert all(is_gone(pid) for pid in first)
    with pytest.raises(RuntimeError, match="closed"):
        await everything(children, to=1)


async def test_a_child_inherits_no_secret_and_imports_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@host/db")

    async with pool("about_itself") as children:
        [answer] = await everything(children)

    assert "secret" not in str(answer["environment"])
    assert not answer["asyncio"]
    assert answer["pid"] != os.getpid()


async def test_a_refusal_carries_the_childs_code_and_leaves_it_alive() -> None:
    async with pool("refuse") as children:
        with pytest.raises(Refused, match="not what it says") as refused:
            await everything(children)

        before = children.pids
        with pytest.raises(Refused):
            await everything(children)
        assert children.pids == before

    assert (refused.value.code, refused.value.status, refused.value.retryable) == (
        "unreadable",
        422,
        False,
    )


@pytest.mark.parametrize(("target", "named"), [("fail", "ValueError"), ("unsendable", "TypeError")])
async def test_an_unexpected_error_is_told_in_one_short_sentence(target: str, named: str) -> None:
    async with pool(target) as children:
        with pytest.raises(Refused) as refused:
            await everything(children)

        assert len(children.pids) == 1

    assert refused.value.code == "child_error"
    assert str(refused.value).startswith(f"{named}: ")
    assert "Traceback" not in str(refused.value)
    assert len(str(refused.value)) <= 500


async def test_a_target_that_cannot_be_imported_is_not_blamed_on_the_input() -> None:
    async with ChildPool("app.nowhere:nothing", LIMITS) as children:
        with pytest.raises(ChildDied) as died:
            await everything(children)

        assert children.pids == set()

    assert (died.value.code, died.value.cause) == ("child_error", "start")


async def test_libraries_may_print_and_read() -> None:
    async with pool("print_and_read") as children:
        assert await everything(children) == [""]
        assert await everything(children) == [""]


async def test_a_slow_consumer_stops_the_child_and_is_not_charged(tmp_path: Path) -> None:
    told = tmp_path / "frames"

    async with (
        pool("pour", seconds_in_all=0.5, seconds_per_frame=0.5) as children,
        aclosing(children.stream({"path": str(told)})) as frames,
    ):
        await anext(frames)
        await asyncio.sleep(0.6)

        produced = int(told.read_text())
        for _ in range(20):
            await anext(frames)

    assert produced < 30  # of 64 KiB each, in the pipe and in the reader


async def test_a_child_is_replaced_after_its_share_of_requests() -> None:
    async with pool("about_itself", recycle_after=2) as children:
        pids = [(await everything(children))[0]["pid"] for _ in range(4)]

    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_a_child_that_keeps_memory_is_replaced() -> None:
    async with pool("keep_memory") as children:
        [small] = await everything(children, bytes=MIB)
        [large] = await everything(children, bytes=80 * MIB)
        [fresh] = await everything(children, bytes=MIB)

    assert small == large != fresh


async def test_a_child_killed_while_idle_is_replaced_unnoticed() -> None:
    async with pool("count") as children:
        await everything(children, to=1)
        [pid] = children.pids
        os.kill(pid, signal.SIGKILL)
        await until_gone(pid)
        await asyncio.sleep(0.05)

        assert await everything(children, to=2) == [0, 1]


async def test_as_many_requests_run_at_once_as_the_pool_is_large() -> None:
    async with pool("tick", size=2) as children:
        await asyncio.gather(*(everything(children, times=2, seconds=0.02) for _ in range(5)))

        assert len(children.pids) == 2


def test_a_pool_lives_as_long_as_the_loop_that_owns_it_in_any_thread() -> None:
    async def use() -> tuple[list[Any], bool]:
        async with pool("sleep") as children:
            items = await everything(children, seconds=0.3)
            return items[1:], await everything(children, seconds=0) == [*items[:1], 2]

    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(asyncio.run(use())))
    thread.start()
    thread.join()

    assert answers == [([2], True)]


async def test_the_event_loop_is_never_blocked() -> None:
    longest, running = 0.0, True

    async def watch() -> None:
        nonlocal longest
        while running:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - before)

    watcher = asyncio.create_task(watch())
    async with pool("loop", seconds_per_frame=1.5) as loops, pool("eat_memory") as bombs:
        for children in (loops, bombs):
            with pytest.raises(ChildDied):
                await everything(children)
    running = False
    await watcher

    assert longest < 1  # a blocked loop would have waited 1.5 s with the child
