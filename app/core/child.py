"""What runs inside a limited child; `app.core.parent` starts it and is its only caller.

    python -m app.core.child <module:function> <parent pid> <memory bytes> <CPU seconds>

Both pipes carry frames: a length (4 bytes, big-endian), then so many bytes of MessagePack.
stdin brings one map per request. stdout answers with pairs `(kind, payload)`:

    READY      None                   once, when the target is imported
    ITEM       any value              each value that `function(request)` yields
    END        resident bytes         the request is done, the next may come
    REFUSED    (code, sentence)       the function raised; the next request may come
    EXHAUSTED  None                   MemoryError: the child ends after this frame

The child dies with its worker, also when only the worker's pid is killed, by three means that do
not need one another. Linux sends SIGKILL when the *thread* that forked ends (PR_SET_PDEATHSIG);
asyncio and uvloop fork on the thread of the running loop, never in an executor, so this is the
end of the loop that owns the pool, which is what we want; the child then looks whether its parent
had gone before it asked. Everywhere else, and should the target undo that, a thread waits for the
end of the stdin pipe, whose only other end the worker holds; C code that releases the GIL, as
ctypes does, cannot keep it from noticing. Between requests the read loop sees the same end.

Every start of a child pays for what this module imports: it stays at msgspec and small modules.
"""

import importlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO

import msgspec

READY, ITEM, END, REFUSED, EXHAUSTED = range(5)
LENGTH_BYTES = 4
CODE_CHARACTERS, SENTENCE_CHARACTERS = 64, 500  # of an error; people read it, logs keep it
CODE_OF_UNEXPECTED = "child_error"

_OPEN_FILES = 64
_STACK_BYTES = 256 * 1024  # of the watching thread; the default of 8 MiB would count as memory
_PR_SET_PDEATHSIG = 1
_PIPE_BYTES = 2**20  # what Linux lets everybody have: a frame of a megabyte need not wait
_OOM_FIRST = b"1000"  # when the whole machine is out of memory, this process goes, not the worker

Function = Callable[[dict[str, Any]], Iterator[Any]]


def frame(value: Any) -> bytes:
    """Encode one value as it travels on either pipe."""
    body = msgspec.msgpack.encode(value)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def main(target: str, parent_pid: int, memory_bytes: int, cpu_seconds: int) -> None:
    """Serve requests until stdin ends."""
    requests, replies = _take_over_pipes()
    _limit(memory_bytes)
    _die_with_parent(parent_pid, requests.fileno())
    _serve(target, cpu_seconds, requests, replies)


def _take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move both pipes to descriptors that nobody else knows of.

    A library that prints would break the frames, one that reads would eat requests.
    """
    requests, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    _widen(replies)
    return os.fdopen(requests, "rb"), os.fdopen(replies, "wb")


def _widen(pipe: int) -> None:
    """Let a pipe hold more, where the system can: with 64 KiB both ends mostly wait."""
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415 -- POSIX only

        with suppress(OSError):  # a user may have many pipes; then this one stays as it is
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _limit(memory_bytes: int) -> None:
    """Lower what this process may use, for good."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to handle
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 -- POSIX only

    wanted = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_AS, memory_bytes),
    )
    for what, value in wanted:
        with suppress(ValueError, OSError):  # macOS knows RLIMIT_AS and refuses to set it
            resource.setrlimit(what, (value, value))
    with suppress(OSError):
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(descriptor, _OOM_FIRST)
        os.close(descriptor)


def _allow_cpu(seconds: int) -> None:
    """Let the coming request use `seconds` of processor time on top of what is used already.

    Only the soft limit moves: at it the kernel sends SIGXCPU, which ends the process.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 -- POSIX only

    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime) + 1 + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _die_with_parent(parent_pid: int, pipe: int) -> None:
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 -- only where prctl is

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if sys.platform != "win32" and os.getppid() != parent_pid:
        os._exit(0)
    if hasattr(select, "poll"):
        threading.stack_size(_STACK_BYTES)
        threading.Thread(target=_exit_at_end_of, args=(pipe,), daemon=True).start()


def _exit_at_end_of(pipe: int) -> None:
    poll = select.poll()
    poll.register(pipe, 0)  # a hang-up is always reported; data is the read loop's business
    poll.poll()
    os._exit(0)


def _serve(target: str, cpu_seconds: int, requests: BinaryIO, replies: BinaryIO) -> None:
    out_of_memory = frame((EXHAUSTED, None))  # made now: later there may be no memory for it
    try:
        function = _resolve(target)
        _send(replies, (READY, None))
        while (request := _receive(requests)) is not None:
            _allow_cpu(cpu_seconds)
            _answer(function, request, replies)
    except MemoryError:
        replies.write(out_of_memory)
        replies.flush()


def _resolve(target: str) -> Function:
    module, _, name = target.partition(":")
    function: Function = getattr(importlib.import_module(module), name)
    return function


def _receive(requests: BinaryIO) -> dict[str, Any] | None:
    length = requests.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    request: dict[str, Any] = msgspec.msgpack.decode(requests.read(int.from_bytes(length, "big")))
    return request


def _answer(function: Function, request: dict[str, Any], replies: BinaryIO) -> None:
    try:
        for item in function(request):
            _send(replies, (ITEM, item))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever it is, the parent has to be told
        _send(replies, (REFUSED, _explain(error)))
    else:
        _send(replies, (END, _resident_bytes()))


def _explain(error: Exception) -> tuple[str, str]:
    """Tell an error in a code and a sentence; the traceback stays on stderr, in the worker's log."""
    code = getattr(error, "code", None)
    if isinstance(code, str):
        sentence = str(error)
    else:
        sys.excepthook(type(error), error, error.__traceback__)
        code, sentence = CODE_OF_UNEXPECTED, f"{type(error).__name__}: {error}"
    sendable = sentence[:SENTENCE_CHARACTERS].encode("utf-8", "replace").decode()
    return code[:CODE_CHARACTERS], sendable


def _send(replies: BinaryIO, reply: tuple[int, Any]) -> None:
    data = frame(reply)
    try:
        replies.write(data)
        replies.flush()
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more; a normal exit would try to flush again


def _resident_bytes() -> int:
    """Memory held now; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 -- pathlib is a slow import
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
