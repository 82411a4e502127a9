"""Functions that the tests run inside children: good, bad and hostile ones."""

import ctypes
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

Request = dict[str, Any]
_PR_SET_PDEATHSIG = 1


class Unreadable(Exception):
    code = "unreadable"


def count(request: Request) -> Iterator[int]:
    yield from range(request["to"])


def about_itself(request: Request) -> Iterator[dict[str, Any]]:
    yield {"pid": os.getpid(), "environment": dict(os.environ), "asyncio": "asyncio" in sys.modules}


def refuse(request: Request) -> Iterator[int]:
    yield 1
    raise Unreadable("this is not what it says it is")


def fail(request: Request) -> Iterator[int]:
    yield 1
    raise ValueError(f"no \udcff good {'x' * 5_000}")


def unsendable(request: Request) -> Iterator[Any]:
    yield object()


def print_and_read(request: Request) -> Iterator[str]:
    print("noise" * 1_000, flush=True)
    os.write(1, b"\0\0\0\0\0\0\0\0")
    os.system("echo more noise")
    yield sys.stdin.read()


def keep_memory(request: Request) -> Iterator[int]:
    globals()["kept"] = bytearray(os.urandom(1)) * request["bytes"]
    yield os.getpid()


def eat_memory(request: Request) -> Iterator[int]:
    eaten = []
    while True:
        eaten.append(bytearray(8 * 1024 * 1024))


def loop(request: Request) -> Iterator[int]:
    while True:
        pass


def loop_unwatched_by_the_kernel(request: Request) -> Iterator[int]:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)
    yield os.getpid()
    while True:
        pass


def loop_after_first(request: Request) -> Iterator[int]:
    yield os.getpid()
    while True:
        pass


def signal_itself(request: Request) -> Iterator[int]:
    yield 1
    os.kill(os.getpid(), request["signal"])
    time.sleep(5)


def leave(request: Request) -> Iterator[int]:
    yield 1
    os._exit(7)


def sleep(request: Request) -> Iterator[int]:
    yield os.getpid()
    time.sleep(request["seconds"])
    yield 2


def tick(request: Request) -> Iterator[int]:
    for number in range(request["times"]):
        time.sleep(request["seconds"])
        yield number


def pour(request: Request) -> Iterator[bytes]:
    """Yield without end, and keep in a file how often."""
    told = Path(request["path"])
    number = 0
    while True:
        number += 1
        told.write_text(str(number))
        yield b"x" * 65_536


def write_raw(request: Request) -> Iterator[int]:
    """Write bytes past the protocol, then wait to be ended."""
    yield os.getpid()
    for descriptor in range(3, 32):
        try:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.write(descriptor, request["bytes"])
        except OSError:
            continue
    time.sleep(30)


def close_pipe(request: Request) -> Iterator[int]:
    yield 1
    os.closerange(3, 32)
    time.sleep(30)


def big_frame(request: Request) -> Iterator[bytes]:
    yield b"x" * request["bytes"]


def nested(request: Request) -> Iterator[Any]:
    yield msgspec.Raw(b"\x91" * 100_000 + b"\x01")
