"""GET /jobs/{id}/stream and GET /jobs/stream: jobs as they change, as Server-Sent Events.

    event: job    data: the job as GET /jobs/{id} shows it; id: its version
    event: end    the job has ended and its last state was told; the stream ends
    event: gap    (all jobs) there were more changes than can be told, or the client was away and
                  comes back with Last-Event-ID: read the list again

On connect the present state comes, of all jobs that of the active and lately ended ones; a client
that comes back with Last-Event-ID is not told again what it knows of its one job. Then every
change, at most four a second per job.
"""

from abc import ABC, abstractmethod

from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.api.auth import owner_of
from app.api.callers import Caller, caller_of
from app.api.services import Services
from app.api.stream import Stream
from app.core.errors import NotFound
from app.jobs.store import changes

_PRESENT = 200  # newest queued, running and ended jobs that a stream of all begins with


class _Door(ABC):
    """What both routes have in common: who asks, a seat, and the stream's life."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services: Services = scope["app"].state.services
        caller = await caller_of(services.tokens, scope)
        if scope["method"] == "HEAD":
            await _head(send)
            return
        owner = owner_of(caller.user)
        with services.streams.seat(caller.user.id):
            stream = self._stream(scope, send, caller, None if owner is None else str(owner))
            await services.feed.join(stream)
            try:
                await self._begin(scope, services, stream)
                with services.streams.minded(stream):
                    await stream.until_gone(receive)
            finally:
                services.feed.leave(stream)

    def _stream(self, scope: Scope, send: Send, caller: Caller, owner: str | None) -> Stream:
        job_id = scope["path_params"].get("job_id")
        return Stream(
            send,
            job_id=None if job_id is None else str(job_id),
            owner=owner,
            user_id=caller.user.id,
            credential=caller.credential,
        )

    @abstractmethod
    async def _begin(self, scope: Scope, services: Services, stream: Stream) -> None:
        """Show how things stand. Raises `NotFound` before anything is answered."""


class _OneJob(_Door):
    async def _begin(self, scope: Scope, services: Services, stream: Stream) -> None:
        assert stream.job_id is not None
        found = await changes.states(services.reader, [stream.job_id])
        if not found or stream.owner not in (None, found[0].owner):
            raise NotFound("there is no such job")
        state, known = found[0], _last_event_id(scope)
        if known is not None and known <= state.version:  # a greater one is of another job
            stream.knows(state.job_id, known)
        await stream.open()
        if known == state.version and state.view.ended:
            stream.already_ended(state)
        else:
            stream.offer(state)
            stream.pump()


class _AllJobs(_Door):
    async def _begin(self, scope: Scope, services: Services, stream: Stream) -> None:
        ids = await changes.lately(services.reader, stream.owner, _PRESENT)
        found = await changes.states(services.reader, ids) if ids else []
        await stream.open()
        for state in found:
            stream.offer(state)
        if _last_event_id(scope) is not None:
            stream.missed()  # a client that comes back: what ended while it was away is in the list
        stream.pump()


def stream_routes() -> list[Route]:
    """To be tried before the routes of one job."""
    return [
        Route("/jobs/stream", _AllJobs(), methods=["GET"], name="all_jobs_stream"),
        Route("/jobs/{job_id:uuid}/stream", _OneJob(), methods=["GET"], name="job_stream"),
    ]


async def _head(send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _last_event_id(scope: Scope) -> int | None:
    given = Headers(scope=scope).get("last-event-id", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else None
