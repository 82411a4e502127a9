"""One limited child as its parent holds it: start, ask, read, explain its death, end.

Limits are set by the child itself after exec. A `preexec_fn` would forbid vfork, so that a big
worker copies its page tables for each child, and is not safe in a process with threads.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, Self, cast

import msgspec

from app.core import child as inside
from app.core.errors import AppError

log = logging.getLogger(__name__)

START_SECONDS = 30.0  # to import the target, on a machine that is busy elsewhere
REAP_SECONDS = 5.0  # after SIGKILL; longer only for a process stuck in the kernel
NOISE_BYTES = 2_000  # of the end of stderr, kept for the log
READ_AHEAD_BYTES = 256 * 1024  # then the pipe fills and the child waits

# All that a child inherits: it parses hostile bytes, and the worker's environment holds passwords.
_PASSED_ON = ("LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")

Cause = Literal["memory", "cpu", "time", "crash", "protocol", "start"]
_ABORTS = {signal.SIGABRT, signal.SIGILL, signal.SIGTRAP}  # C++ without memory ends itself by these
_ROOT = str(Path(inside.__file__).parents[2])
_decode = msgspec.msgpack.Decoder(tuple[int, Any]).decode


class Refused(AppError):
    """The child looked at the input and said no; `code` is its word for why."""

    code = "refused"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class ChildDied(AppError):
    """The child was ended by the input or by a limit; `cause` says which. The worker is unharmed."""

    code = "hostile"
    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, detail: str, cause: Cause) -> None:
        super().__init__(detail, code="child_error" if cause == "start" else None)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may use; beyond it the child is killed.

    Waiting counts only while the child is waited for, so a slow consumer costs the child nothing.
    """

    memory_bytes: int  # address space: resident memory is always below it
    cpu_seconds: int
    seconds_per_frame: float
    seconds_in_all: float
    frame_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """One frame from the child."""

    kind: int
    payload: Any
    seconds: float  # that it was waited for


class Child:
    """One process, which serves one request at a time."""

    def __init__(
        self, transport: asyncio.SubprocessTransport, pipes: "_Pipes", target: str, limits: Limits
    ) -> None:
        self._transport, self._pipes, self._target, self._limits = transport, pipes, target, limits
        self.pid = transport.get_pid()
        self.served = 0
        self.resident_bytes = 0

    @classmethod
    async def start(cls, target: str, limits: Limits) -> Self:
        """Return a child that has imported its target and limited itself."""
        transport, pipes = await asyncio.get_running_loop().subprocess_exec(
            _Pipes,
            *(sys.executable, "-S", "-P", "-m", inside.__name__, target),
            *map(str, (os.getpid(), limits.memory_bytes, limits.cpu_seconds)),
            env=_environment(),
            start_new_session=True,  # a signal to the worker's group is the worker's to handle
        )
        child = cls(transport, pipes, target, limits)
        try:
            await child.reply(START_SECONDS)
        except ChildDied as error:
            await child.end()
            log.exception(
                "child did not start", extra={"target": target, "stderr": pipes.noise_text}
            )
            raise ChildDied(f"{target} could not be started", "start") from error
        except BaseException:
            transport.close()
            raise
        return child

    @property
    def alive(self) -> bool:
        """False once the system has told of its end."""
        return self._transport.get_returncode() is None and not self._pipes.ended.is_set()

    def ask(self, request: Mapping[str, Any]) -> None:
        """Hand over the next request."""
        self.served += 1
        self._pipes.noise.clear()
        stdin = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))
        stdin.write(inside.frame(request))

    async def reply(self, seconds: float) -> Reply:
        """Wait at most `seconds` for the next frame.

        Raises:
            ChildDied: there is none, or none that makes sense; the child must be ended.
        """
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        try:
            async with asyncio.timeout(seconds):
                length = int.from_bytes(await self._pipes.frames.readexactly(inside.LENGTH_BYTES))
                if length > self._limits.frame_bytes:
                    raise self._died("protocol", f"sent a frame of {length:,} bytes")
                body = await self._pipes.frames.readexactly(length)
        except TimeoutError:
            raise self._died("time", self._too_slow(seconds)) from None
        except asyncio.IncompleteReadError:
            raise await self._explain_end() from None
        return self._checked(body, clock() - asked_at)

    def _checked(self, body: bytes, seconds: float) -> Reply:
        try:
            kind, payload = _decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise self._died("protocol", "sent bytes that are no reply") from None
        match kind, payload:
            case inside.EXHAUSTED, _:
                raise self._died("memory", f"needs more than {self._memory}")
            case inside.READY, _ if not self.served:
                pass
            case (inside.ITEM, _) | (inside.REFUSED, [str(), str()]) if self.served:
                pass
            case inside.END, int() if self.served:
                self.resident_bytes = payload
            case _:
                raise self._died("protocol", "sent a reply of no known kind")
        return Reply(kind, payload, seconds)

    async def _explain_end(self) -> ChildDied:
        """Say why the child closed its pipe, from the status it ended with."""
        with suppress(TimeoutError):
            async with asyncio.timeout(REAP_SECONDS):
                await self._pipes.ended.wait()
        status = self._transport.get_returncode()
        if status is None:
            return self._died("protocol", "closed its pipe")
        if status >= 0:
            return self._died("crash", f"ended itself with status {status}")
        if -status == signal.SIGXCPU:
            return self._died("cpu", f"used {self._limits.cpu_seconds} s of processor time")
        if -status == signal.SIGKILL:
            return self._died("memory", "was killed, probably by a system without free memory")
        name = signal.strsignal(-status) or f"signal {-status}"
        if -status in _ABORTS:
            return self._died("memory", f"gave up ({name}), probably at its {self._memory}")
        return self._died("crash", f"crashed ({name})")

    def _too_slow(self, seconds: float) -> str:
        if seconds < self._limits.seconds_per_frame:
            return f"needed more than {self._limits.seconds_in_all:.3g} s in all"
        return f"gave no answer for {seconds:.3g} s"

    @property
    def _memory(self) -> str:
        return f"{self._limits.memory_bytes // 2**20:,} MiB of memory"

    def _died(self, cause: Cause, what: str) -> ChildDied:
        facts = {"target": self._target, "pid": self.pid, "cause": cause, "served": self.served}
        log.warning("child died", extra={**facts, "stderr": self._pipes.noise_text})
        return ChildDied(f"The process that read this input {what}.", cause)

    def refusal(self, reply: Reply) -> Refused:
        """Return the error that a REFUSED frame stands for, in a form that every store takes."""
        code, sentence = (text.replace("\0", "") for text in reply.payload)
        if code == inside.CODE_OF_UNEXPECTED:
            facts = {"target": self._target, "stderr": self._pipes.noise_text}
            log.warning("child failed", extra=facts)
        return Refused(sentence[: inside.SENTENCE_CHARACTERS], code=code[: inside.CODE_CHARACTERS])

    async def end(self) -> None:
        """Kill the process and wait until it is reaped."""
        self._transport.close()
        try:
            async with asyncio.timeout(REAP_SECONDS):
                await self._pipes.ended.wait()
        except TimeoutError:
            log.exception("child not reaped", extra={"pid": self.pid, "target": self._target})


class _Pipes(asyncio.SubprocessProtocol):
    """Reads stdout only as fast as it is used, and of stderr keeps the end."""

    def __init__(self) -> None:
        self.frames = asyncio.StreamReader(limit=READ_AHEAD_BYTES)
        self.noise = bytearray()
        self.ended = asyncio.Event()  # the process is reaped

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        process = cast(asyncio.SubprocessTransport, transport)
        stdout = cast(asyncio.ReadTransport, process.get_pipe_transport(1))
        self.frames.set_transport(stdout)  # which pauses the pipe when nobody reads

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self.frames.feed_data(data)
        else:
            self.noise += data
            del self.noise[:-NOISE_BYTES]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self.frames.feed_eof()

    def process_exited(self) -> None:
        self.ended.set()

    @property
    def noise_text(self) -> str:
        return self.noise.decode("utf-8", "replace")


def _environment() -> dict[str, str]:
    """Return all that a child inherits: where code is found, and nothing secret.

    The search path is this process's own, so that the child can start without `site` (-S, which
    saves a fifth of its start). One malloc arena: each further one reserves 64 MiB of the limit.
    """
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}  # noqa: TID251 -- handed down, not read
    search_path = os.pathsep.join(dict.fromkeys(path for path in [*sys.path, _ROOT] if path))
    return {**passed_on, "PYTHONPATH": search_path, "MALLOC_ARENA_MAX": "1", "LANG": "C.UTF-8"}
