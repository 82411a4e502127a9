"""A thread that watches the event loop: a handler that blocks it would starve all leases.

Blocked for longer than half a lease, it finds the job whose task holds the loop, charges that
one a lapse, releases the others uncharged, logs the stack and ends the process with exit code
75, so that its supervisor starts a new one. Where even threads starve (a C extension that never
gives the interpreter back), the C-level timer of `faulthandler` ends the process instead.
"""

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from types import FrameType

log = logging.getLogger("worker")

EXIT_BLOCKED = 75  # EX_TEMPFAIL: start me again
_BEATS_PER_LIMIT = 10
_LAST_WORDS_SECONDS = 5.0  # for charging and releasing, from a loop of the thread's own


class Watchdog:
    """Watches the running loop from a thread."""

    def __init__(
        self,
        limit_seconds: float,
        on_blocked: Callable[[asyncio.Task[object] | None], Sequence[str]],
    ) -> None:
        """Wait `limit_seconds` for the loop; then call `on_blocked` with the task that holds it.

        `on_blocked` runs in the thread; it gives back what it did, for the log.
        """
        self._limit = limit_seconds
        self._on_blocked = on_blocked
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._beat = time.monotonic()
        self._stopped = threading.Event()
        self._handle: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._tick()
        self._thread.start()

    def stop(self) -> None:
        """Stop watching, before the loop itself stops."""
        self._stopped.set()
        faulthandler.cancel_dump_traceback_later()
        if self._handle is not None:
            self._handle.cancel()

    def _tick(self) -> None:
        self._beat = time.monotonic()
        if not self._stopped.is_set():
            faulthandler.dump_traceback_later(4 * self._limit + 10, exit=True, file=2)
            self._handle = self._loop.call_later(self._limit / _BEATS_PER_LIMIT, self._tick)

    def _watch(self) -> None:
        last_look = time.monotonic()
        while not self._stopped.wait(self._limit / _BEATS_PER_LIMIT):
            look = time.monotonic()
            # A machine or process that slept finds the loop late without its fault.
            if look - last_look > self._limit / 2:
                self._beat = look
            last_look = look
            if look - self._beat > self._limit:
                self._bite()

    def _bite(self) -> None:
        holder = asyncio.current_task(self._loop)
        frame: FrameType | None = sys._current_frames().get(self._loop_thread)  # noqa: SLF001
        stack = "".join(traceback.format_stack(frame)) if frame else "unknown"
        log.critical(
            "event loop blocked",
            extra={"task": holder.get_name() if holder else None, "stack": stack},
        )
        words = threading.Thread(target=self._last_words, args=(holder,), daemon=True)
        words.start()
        words.join(_LAST_WORDS_SECONDS)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(EXIT_BLOCKED)

    def _last_words(self, holder: asyncio.Task[object] | None) -> None:
        for line in self._on_blocked(holder):
            log.critical(line)
