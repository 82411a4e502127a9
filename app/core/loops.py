"""The event loop of a process: uvloop where it is installed (not on Windows), else asyncio's."""

import asyncio
import importlib.util
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_FAST = importlib.util.find_spec("uvloop") is not None


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in a new loop, like `asyncio.run`."""
    if not _FAST:
        return asyncio.run(main)
    import uvloop  # noqa: PLC0415 -- not on Windows

    return uvloop.run(main)


def use_everywhere() -> None:
    """Make loops that others create (the arq command) of the same kind."""
    if _FAST:
        import uvloop  # noqa: PLC0415

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
