"""How real children end: by limits, by signals, by garbage, by leaving them, with their worker."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from app.core import child as inside
from app.core.processes import ChildDied, Refused
from tests.core.pools import MIB, everything, is_gone, pool, until_gone

ROOT = Path(__file__).parents[2]


async def test_a_memory_bomb_ends_only_its_child() -> None:
    async with pool("eat_memory") as children:
        for _ in range(2):
            with pytest.raises(ChildDied, match="256 MiB") as died:
                await everything(children)

            assert (died.value.code, died.value.cause) == ("hostile", "memory")
            assert not died.value.retryable
            assert children.pids == set()


async def test_processor_time_is_limited_for_each_request() -> None:
    async with pool("loop", cpu_seconds=0) as children:
        with pytest.raises(ChildDied, match="0 s of processor time") as died:
            await everything(children)

    assert died.value.cause == "cpu"


async def test_an_answer_has_to_come_in_time() -> None:
    async with pool("sleep", seconds_per_frame=0.3) as children:
        with pytest.raises(ChildDied, match=r"0\.3 s") as died:
            await everything(children, seconds=30)

        assert children.pids == set()

    assert died.value.cause == "time"


async def test_all_answers_together_have_to_come_in_time() -> None:
    async with pool("tick", seconds_in_all=0.5) as children:
        assert await everything(children, times=2, seconds=0.05) == [0, 1]

        with pytest.raises(ChildDied) as died:
            await everything(children, times=100, seconds=0.05)

    assert died.value.cause == "time"


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (signal.SIGSEGV, "crash"),
        (signal.SIGABRT, "memory"),
        (signal.SIGKILL, "memory"),
        (signal.SIGRTMIN + 1, "crash"),
    ],
)
async def test_a_death_by_signal_is_explained(number: int, cause: str) -> None:
    async with pool("signal_itself") as children:
        with pytest.raises(ChildDied) as died:
            await everything(children, signal=int(number))

    assert died.value.cause == cause


async def test_a_child_that_leaves_is_told_by_its_status() -> None:
    async with pool("leave") as children:
        with pytest.raises(ChildDied, match="status 7") as died:
            await everything(children)

    assert died.value.cause == "crash"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x01\xc1",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x03\x92\x63\xc0",
        b"\x00\x00\x00\x03\x92\x00\xc0",
        b"\x00\x00\x00\x03\x92\x02\xc0",
        b"\x00\x00\x00\x03\x92\x03\xc0",
        b"\x00\x00\x00\x07\x92\x01\xdd\xff\xff\xff\xff",
        b"\x00\x00\x00\x05\x92\x01\xa2\xff\xfe",
    ],
    ids=["length", "bytes", "empty", "kind", "ready", "end", "refusal", "long list", "text"],
)
async def test_garbage_on_the_pipe_ends_the_child(garbage: bytes) -> None:
    async with pool("write_raw") as children:
        with pytest.raises(ChildDied) as died:
            await everything(children, bytes=garbage)

        assert children.pids == set()

    assert died.value.cause == "protocol"


async def test_a_refusal_is_cut_to_what_a_store_takes() -> None:
    body = msgspec.msgpack.encode((inside.REFUSED, ("c" * 1_000, "a\0b" * 1_000)))

    async with pool("write_raw") as children:
        with pytest.raises(Refused) as refused:
            await everything(children, bytes=len(body).to_bytes(4, "big") + body)

    assert refused.value.code == "c" * 64
    assert str(refused.value) == "ab" * 250


async def test_a_closed_pipe_ends_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.core.parent.REAP_SECONDS", 0.5)

    async with pool("close_pipe") as children:
        with pytest.raises(ChildDied) as died:
            await everything(children)

        assert children.pids == set()

    assert died.value.cause in ("protocol", "crash")


async def test_frames_are_limited_in_size_and_depth() -> None:
    async with pool("big_frame", frame_bytes=MIB) as children:
        [frame] = await everything(children, bytes=MIB - 100)
        assert len(frame) == MIB - 100

        with pytest.raises(ChildDied, match="frame of 1,0"):
            await everything(children, bytes=MIB)

    async with pool("nested") as children:
        with pytest.raises(ChildDied, match="no reply"):
            await everything(children)


async def test_leaving_early_kills_the_child() -> None:
    async with pool("sleep") as children:
        async with aclosing(children.stream({"seconds": 30})) as frames:
            pid = await anext(frames)

        assert is_gone(pid)
        assert children.pids == set()

        async for pid in children.stream({"seconds": 30}):  # noqa: B007 -- the first is enough
            break
        await until_gone(pid)


@pytest.mark.parametrize("half_a_frame", [b"", b"\x00\x00", b"\x00\x00\x00\x09\x92\x01"])
async def test_cancelling_kills_the_child_also_in_the_middle_of_a_frame(
    half_a_frame: bytes,
) -> None:
    async with pool("write_raw") as children:
        got: asyncio.Queue[int] = asyncio.Queue()

        async def consume() -> None:
            async for item in children.stream({"bytes": half_a_frame}):
                got.put_nowait(item)

        task = asyncio.create_task(consume())
        pid = await got.get()
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert is_gone(pid)
        assert children.pids == set()


@pytest.mark.fault
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("target", ["loop_after_first", "loop_unwatched_by_the_kernel", "idle"])
def test_children_die_with_their_worker_when_only_its_pid_is_killed(target: str) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, target], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    with worker, worker.stdout:
        child = int(worker.stdout.readline())
        assert not is_gone(child)

        worker.kill()
        killed_at = time.monotonic()
        while not is_gone(child) and time.monotonic() - killed_at < 5:
            time.sleep(0.01)

    assert time.monotonic() - killed_at < 1


WORKER = textwrap.dedent("""
    import asyncio, sys
    from app.core.processes import ChildPool, Limits

    async def main(name):
        target = "about_itself" if name == "idle" else name
        limits = Limits(256 * 2**20, 20, 20, 20)
        async with ChildPool(f"tests.core.child_targets:{target}", limits) as pool:
            async for frame in pool.stream({}):
                print(*pool.pids, flush=True)
            await asyncio.sleep(30)

    asyncio.run(main(sys.argv[1]))
""")


def test_a_child_whose_parent_was_gone_before_it_looked_ends_at_once() -> None:
    target = "tests.core.child_targets:count"
    arguments = [target, str(os.getppid()), str(256 * MIB), "1"]

    child = subprocess.run(
        [sys.executable, "-m", "app.core.child", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        timeout=10,
    )

    assert (child.returncode, child.stdout) == (0, b"")


async def test_a_pool_closed_at_work_does_not_blame_the_input() -> None:
    children = pool("sleep")
    frames = children.stream({"seconds": 30})
    await anext(frames)
    waiting = asyncio.create_task(anext(frames))
    await asyncio.sleep(0.01)

    await children.aclose()

    with pytest.raises(RuntimeError, match="closed at work"):
        await waiting
