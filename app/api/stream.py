"""One open stream: Server-Sent Events on bare ASGI.

An idle stream is a task that waits for the client to go, and nothing else: what there is to send
is sent by a task that lives as long as the sending takes. Of a job that changes faster than a
client may be told, or than it reads, only the newest state is kept.
"""

import asyncio
import logging
import time
from uuid import UUID

from starlette.types import Receive, Send

from app.jobs.store.changes import State

log = logging.getLogger(__name__)

_APART_SECONDS = 0.25  # between two states of one job: at most four a second
_LAST_SECONDS = 2.0  # for a client to take the end
_QUIET_SECONDS = 15.0  # after which a client is told that the line stands
_MOST_PENDING = 2_000  # states that a slow client may be behind
_MOST_SENT, _REMEMBERED_SECONDS = 1_000, 60.0
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]
_OPENING = b"retry: 1000\n\n"
_BEAT = b": still here\n\n"
_GAP = b"event: gap\ndata: {}\n\n"


class Stream:
    """A client that is shown one job, or all jobs of an owner."""

    __slots__ = (
        "_closing",
        "_ended",
        "_given_up",
        "_listening",
        "_open",
        "_pending",
        "_plain",
        "_revoked",
        "_send",
        "_sending",
        "_sent",
        "_wrote",
        "credential",
        "job_id",
        "owner",
        "user_id",
    )

    def __init__(
        self, send: Send, *, job_id: str | None, owner: str | None, user_id: UUID, credential: str
    ) -> None:
        self.job_id = job_id
        self.owner = owner
        self.user_id = user_id
        self.credential = credential
        self._send = send
        self._pending: dict[str, State] = {}
        self._plain = b""  # what is sent besides states
        self._sent: dict[str, tuple[int, float]] = {}  # by job: version, and when
        self._sending: asyncio.Task[None] | None = None
        self._wrote = time.monotonic()
        self._open = self._ended = self._closing = self._revoked = self._given_up = False
        self._listening: asyncio.Task[None] | None = None  # until_gone

    def knows(self, job_id: str, version: int) -> None:
        """The client has seen this version before."""
        self._sent[job_id] = version, 0.0
        pending = self._pending.get(job_id)
        if pending is not None and pending.version <= version:
            del self._pending[job_id]

    async def open(self) -> None:
        """Answer 200, and say how soon to come again after a loss."""
        await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await self._send({"type": "http.response.body", "body": _OPENING, "more_body": True})
        self._open = True

    async def until_gone(self, receive: Receive) -> None:
        """Wait until the client has gone, or for long enough to hear the end."""
        self._listening = asyncio.current_task()
        try:
            while (await receive())["type"] != "http.disconnect":
                continue
        except asyncio.CancelledError:
            if not self._given_up or self._listening is None:
                raise
            self._listening.uncancel()
        finally:
            self._listening = None
            self._ended = True
            if self._sending is not None:
                self._sending.cancel()

    def offer(self, state: State) -> None:
        """Send this state when its time has come, unless the client knows it or a newer one."""
        sent, pending = self._sent.get(state.job_id), self._pending.get(state.job_id)
        if self._revoked or (sent is not None and state.version <= sent[0]):
            return
        if pending is not None and state.version <= pending.version:
            return
        if len(self._pending) >= _MOST_PENDING and state.job_id not in self._pending:
            self._pending.clear()
            self.missed()
        self._pending[state.job_id] = state

    def missed(self) -> None:
        """Tell the client that there were more changes than it is told."""
        self._plain = _GAP

    def gone(self) -> None:
        """The job was forgotten: nothing more comes."""
        self._plain, self._closing = _end("forgotten"), True
        self.pump()

    def already_ended(self, state: State) -> None:
        """The client knows the last state: only the end is left to be told."""
        self._plain, self._closing = _end(state.view.status), True
        self.pump()

    def beat(self) -> None:
        """Say something if nothing was said for long, so that nobody takes the line for dead."""
        if time.monotonic() - self._wrote >= _QUIET_SECONDS and not self._plain:
            self._plain = _BEAT
            self.pump()

    def revoke(self) -> None:
        """End without another word about jobs: whoever listens may not know any more."""
        self._pending.clear()
        self._revoked = True
        self.close()

    def close(self) -> None:
        """Send what there is and end; the client will come again."""
        self._closing = True
        self.pump()
        asyncio.get_running_loop().call_later(_LAST_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """Let go of a client that does not read: nobody's stop waits for it."""
        if self._listening is not None:
            self._given_up = True
            self._listening.cancel()

    def pump(self) -> bool:
        """Send what may be sent by now; whether something is left."""
        if self._ended:
            return False
        if not self._open:  # the feed is quicker than the answer's first line
            return True
        if self._sending is None and (self._closing or self._plain or self._due()):
            self._sending = asyncio.create_task(self._flush())
        return bool(self._pending) or self._sending is not None

    def _due(self) -> list[State]:
        before = time.monotonic() - _APART_SECONDS
        return [
            state
            for job_id, state in self._pending.items()
            if self._closing or self._sent.get(job_id, (0, 0.0))[1] <= before
        ]

    async def _flush(self) -> None:
        try:
            while not self._ended:
                body = self._take()
                if not body and not self._closing:
                    return
                self._ended = self._closing
                more = not self._closing
                await self._send({"type": "http.response.body", "body": body, "more_body": more})
        except OSError:
            log.debug("client gone")
        finally:
            self._sending = None

    def _take(self) -> bytes:
        """The bytes of everything that is due."""
        self._wrote = moment = time.monotonic()
        self._forget(moment)
        parts: list[bytes] = []
        for state in self._due():
            del self._pending[state.job_id]
            self._sent[state.job_id] = state.version, moment
            parts.append(b"event: job\nid: %d\ndata: %b\n\n" % (state.version, state.json))
            if state.view.ended and self.job_id is not None:
                parts.append(_end(state.view.status))
                self._closing = True
        parts.append(self._plain)
        self._plain = b""
        return b"".join(parts)

    def _forget(self, moment: float) -> None:
        """Versions told long ago: what comes of such a job is newer anyway."""
        if len(self._sent) > _MOST_SENT:
            limit = moment - _REMEMBERED_SECONDS
            self._sent = {job: sent for job, sent in self._sent.items() if sent[1] > limit}


def _end(status: str) -> bytes:
    return b'event: end\ndata: {"status":"%b"}\n\n' % status.encode()
