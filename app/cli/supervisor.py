"""Keeps one child process running: started again when it ends, ended with this process."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

log = logging.getLogger("supervisor")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds before a start that follows a crash
_HEALTHY_SECONDS = 60.0  # a child that lived so long is started again without a long pause
_PR_SET_PDEATHSIG = 1
_BLOCKED = 75  # the watchdog's exit code: start me again


class Supervisor:
    """Runs `command` until `stop` is called."""

    def __init__(self, command: Sequence[str], *, grace_seconds: float) -> None:
        """Nothing is started yet; a stop waits `grace_seconds` before it kills."""
        self._command = command
        self._grace = grace_seconds
        self._stopping = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keep the child running; returns when it has ended after `stop`."""
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            lived = time.monotonic() - began
            if lived > _HEALTHY_SECONDS or code == _BLOCKED:
                pause = _FIRST_PAUSE
            log.warning(
                "worker ended; it is started again",
                extra={"exit_code": code, "lived_s": round(lived, 1), "in_s": pause},
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    def stop(self) -> None:
        """Tell the child to end (SIGTERM) and start none again."""
        self._stopping.set()
        if self._child is not None and self._child.returncode is None:
            with suppress(ProcessLookupError):
                self._child.terminate()

    async def _run_once(self) -> int:
        """Run the child to its end; its exit code, negative when a signal ended it."""
        child = self._child = await asyncio.create_subprocess_exec(*self._command)
        log.info("worker started", extra={"pid": child.pid})
        if self._stopping.is_set():  # told while it was being started
            self.stop()
        ended = asyncio.create_task(child.wait())
        told = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await asyncio.wait({ended}, timeout=self._grace)
        finally:
            told.cancel()
            if not ended.done():
                with suppress(ProcessLookupError):
                    child.kill()
        return await ended


def end_with(parent: int) -> None:
    """Let the system send SIGTERM to this process when `parent` ends, however it ends."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 -- only where prctl is

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if sys.platform != "win32" and os.getppid() != parent:
        raise SystemExit(0)
