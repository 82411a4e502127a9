"""GET /jobs/{id}: the one request that everybody sends again and again.

A bare route: no dependencies are solved and no model is validated, which is half of its cost.
One statement on the raw driver, or none at all when a version seen a moment ago answers 304.
"""

import math
import time
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.api.auth import owner_of
from app.api.callers import caller_of
from app.api.services import Services
from app.core.errors import NotFound
from app.jobs.store import read
from app.jobs.store.read import JobView

LONGEST_WAIT = 30.0  # seconds

_encode = msgspec.json.Encoder().encode
_CACHE = (b"cache-control", b"private, no-cache")


class _OneJob:
    """The ASGI application behind the route."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services: Services = scope["app"].state.services
        headers = Headers(scope=scope)
        user = (await caller_of(services.tokens, scope)).user
        job_id = _job_id(scope["path_params"]["job_id"])
        seconds = _wait(scope["query_string"])
        found = owner_of(user)
        owner = None if found is None else str(found)
        known = headers.get("if-none-match")

        lately = services.feed.seen.lately(job_id, owner)
        if lately is not None and not seconds and _matches(known, lately):
            services.feed.poll(job_id)
            await _not_modified(send, lately)
            return
        version, view = await _read(services, job_id, owner)
        if seconds and not view.ended and (known is None or _matches(known, version)):
            await services.feed.change(job_id, version, seconds)
            await caller_of(services.tokens, scope)  # the token may have ended meanwhile
            version, view = await _read(services, job_id, owner)
        if _matches(known, version):
            if not view.ended:
                services.feed.poll(job_id)
            await _not_modified(send, version)
        else:
            await _send(send, version, view)


def job_routes() -> tuple[Route, Route]:
    """The route, to be tried before all others, and what is tried after them.

    The first takes ids only, so it stands in nobody's way; the last says what is wrong with
    anything else that is left below /jobs.
    """
    job = _OneJob()
    first = Route("/jobs/{job_id:uuid}", job, methods=["GET"], name="job")
    return first, Route("/jobs/{job_id}", job, methods=["GET"], name="no_job")


async def _read(services: Services, job_id: str, owner: str | None) -> tuple[int, JobView]:
    asked = time.monotonic()
    found = await read.one(services.reader, job_id, owner)
    if found is None:
        raise NotFound("there is no such job")
    services.feed.seen.note(job_id, owner, found[0], asked)
    return found


async def _send(send: Send, version: int, view: JobView) -> None:
    body = _encode(view)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"etag", b'W/"%d"' % version),
        _CACHE,
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _not_modified(send: Send, version: int) -> None:
    headers = [(b"etag", b'W/"%d"' % version), _CACHE]
    await send({"type": "http.response.start", "status": 304, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _matches(known: str | None, version: int) -> bool:
    """Weak comparison with a list of tags (RFC 9110, 13.1.2)."""
    if known is None:
        return False
    if known == f'W/"{version}"' or known.strip() == "*":
        return True
    return f'"{version}"' in [tag.strip().removeprefix("W/") for tag in known.split(",")]


def _job_id(given: UUID | str) -> str:
    try:
        return str(given if isinstance(given, UUID) else UUID(given))
    except ValueError as error:
        raise _invalid("path", "job_id", "Input should be a valid UUID") from error


def _wait(query: bytes) -> float:
    """Seconds to wait for a change; 0 when that was not asked for."""
    if not query:
        return 0.0
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("wait")
    if given is None:
        return 0.0
    try:
        seconds = float(given[-1])
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_WAIT:
        raise _invalid("query", "wait", f"Input should be a number from 0 to {LONGEST_WAIT:g}")
    return seconds


def _invalid(place: str, name: str, sentence: str) -> RequestValidationError:
    return RequestValidationError([{"type": "value_error", "loc": (place, name), "msg": sentence}])
