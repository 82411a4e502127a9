"""Jobs over HTTP, as the token's user sees them."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Self
from uuid import UUID

import httpx

from app.cli import sse
from app.cli.client import Job, Seen
from app.core.errors import (
    AppError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooMany,
    Unauthorized,
    Unavailable,
)

_SECONDS = 30.0  # for one answer, beyond what it was asked to wait
_PAGE = 200
_WAIT_SECONDS = 10.0  # one waiting request
_ASK_SECONDS = 1.0  # between two requests where nobody waits
_BUSY_SECONDS = 20.0
_AGAIN_SECONDS = 0.5  # after a stream broke off
_ERRORS: dict[int, type[AppError]] = {
    int(kind.status): kind for kind in (Unauthorized, Forbidden, NotFound, Conflict, Invalid)
}


class _NoStream(Exception):
    """An API without streams, or one that has no room for another."""


class HttpJobs:
    """Speaks to the API at an address."""

    def __init__(self, url: str, token: str, *, through_proxies: bool = True) -> None:
        """Nothing is connected before the first call. Raises `Invalid` for no address."""
        try:
            self.client = httpx.AsyncClient(
                base_url=url,
                headers={"Authorization": f"Bearer {token}"},
                timeout=httpx.Timeout(_SECONDS, connect=5.0),
                trust_env=through_proxies,
                limits=httpx.Limits(max_connections=None),  # a stream for each job that is watched
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise Invalid(f"HEADWAY_URL is not an address: {url}") from error
        self._url = url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def page(
        self, *, status: str | None, kind: str | None, limit: int, offset: int
    ) -> tuple[list[Job], int]:
        """See `Jobs`."""
        asked = {"status": status, "job_type": kind, "limit": limit, "offset": offset}
        given = {name: value for name, value in asked.items() if value is not None}
        answer = await self.ask("GET", "/jobs", params=given)
        return answer["jobs"], answer["total"]

    async def one(self, job_id: UUID) -> Seen:
        """See `Jobs`."""
        return _seen(await self.send("GET", f"/jobs/{job_id}"))

    async def changes(self, job_id: UUID, seen: Seen) -> AsyncGenerator[Seen]:
        """See `Jobs`: by a stream; where there is none by waiting requests; else by asking."""
        try:
            async with aclosing(self._streamed(job_id, seen)) as streamed:
                async for seen in streamed:
                    yield seen
                    if seen.ended:
                        return
        except _NoStream:
            pass
        while not seen.ended:
            began = time.monotonic()
            newer = await self._change(job_id, seen, _WAIT_SECONDS)
            if newer.version != seen.version:
                seen = newer
                yield seen
            elif time.monotonic() - began < _WAIT_SECONDS / 2:  # nobody waited for a change
                await asyncio.sleep(_ASK_SECONDS)

    async def _streamed(self, job_id: UUID, seen: Seen) -> AsyncGenerator[Seen]:
        """What the job's stream tells. Raises `_NoStream` where there is none."""
        headers = {"Accept": sse.MEDIA_TYPE, "Last-Event-ID": seen.version.strip('W/"')}
        timeout = httpx.Timeout(_SECONDS, connect=5.0)  # a quiet line is spoken on every 15 s
        path = f"/jobs/{job_id}/stream"
        try:
            async with self.client.stream("GET", path, headers=headers, timeout=timeout) as answer:
                kind = answer.headers.get("content-type", "")
                if answer.status_code != HTTPStatus.OK or not kind.startswith(sse.MEDIA_TYPE):
                    raise _NoStream
                async for event in sse.events(answer):
                    if event.kind == "job":
                        yield Seen(json.loads(event.data), f'W/"{event.id}"')
                    elif event.kind == "end":
                        return
        except httpx.HTTPError as error:
            raise Unavailable(f"nobody answers at {self._url}: {_why(error)}") from error
        raise Unavailable("the stream broke off", retry_after=_AGAIN_SECONDS)

    async def _change(self, job_id: UUID, seen: Seen, seconds: float) -> Seen:
        """The job's next version, or `seen` itself when there was none for so long."""
        answer = await self.send(
            "GET",
            f"/jobs/{job_id}",
            params={"wait": seconds},
            headers={"If-None-Match": seen.version},
            timeout=httpx.Timeout(seconds + _SECONDS, connect=5.0),
        )
        return seen if answer.status_code == HTTPStatus.NOT_MODIFIED else _seen(answer)

    async def events(self, job_id: UUID) -> list[dict[str, Any]]:
        """See `Jobs`."""
        events: list[dict[str, Any]] = []
        while True:
            page = {"limit": _PAGE, "offset": len(events)}
            answer = await self.ask("GET", f"/jobs/{job_id}/events", params=page)
            events += answer["events"]
            if not answer["events"] or len(events) >= answer["total"]:
                return events

    async def queues(self) -> list[dict[str, Any]]:
        """See `Jobs`."""
        found: list[dict[str, Any]] = (await self.ask("GET", "/queues"))["queues"]
        return found

    async def workers(self) -> list[dict[str, Any]] | None:
        """See `Jobs`."""
        try:
            found: list[dict[str, Any]] = (await self.ask("GET", "/workers"))["workers"]
        except Forbidden:
            return None
        return found

    async def cancel(self, job_id: UUID) -> dict[str, Any]:
        """See `Jobs`."""
        return await self.ask("POST", f"/jobs/{job_id}/cancel")

    async def retry(self, job_id: UUID) -> dict[str, Any]:
        """See `Jobs`."""
        return await self.ask("POST", f"/jobs/{job_id}/retry")

    async def ask(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        """The answer's JSON. Raises the `AppError` that the API told."""
        answer = await self.send(method, path, **how)
        try:
            found: dict[str, Any] = answer.json()
        except ValueError as error:
            raise Unavailable(f"what answers at {self._url} is not Headway") from error
        return found

    async def ask_patiently(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        """The same, asked again for up to 20 s while the API says that its database is busy."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                return await self.ask(method, path, **how)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)

    async def send(self, method: str, path: str, **how: Any) -> httpx.Response:
        """The answer. Raises the `AppError` that the API told."""
        try:
            answer = await self.client.request(method, path, **how)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise Invalid(f"HEADWAY_URL is not an address: {self._url}") from error
        except httpx.HTTPError as error:
            raise Unavailable(f"nobody answers at {self._url}: {_why(error)}") from error
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            raise self._told(answer)
        return answer

    def _told(self, answer: httpx.Response) -> AppError:
        """The problem that the API answered with, as the error that it was over there."""
        status = answer.status_code
        try:
            problem = answer.json()
            detail = str(problem["detail"])
        except (ValueError, LookupError, TypeError):
            problem, detail = {}, f"{self._url} answered {status} {answer.reason_phrase}"
        fields = [
            f"{each.get('field')}: {each.get('detail')}" for each in problem.get("errors") or ()
        ]
        sentence = "; ".join([detail, *fields])
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return TooMany(sentence, retry_after=_seconds(answer))
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unavailable(sentence, retry_after=_seconds(answer))
        return _ERRORS.get(status, AppError)(sentence, code=problem.get("code"))


def _seen(answer: httpx.Response) -> Seen:
    try:
        return Seen(answer.json(), answer.headers["etag"])
    except (ValueError, LookupError) as error:
        raise Unavailable(f"what answers at {answer.url.host} is not Headway") from error


def _seconds(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else None


def _why(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
