"""A client of Server-Sent Events that calls the application itself, in this loop."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI


@dataclass(frozen=True)
class Event:
    kind: str
    id: int | None
    data: Any
    at: float


class Listener:
    """An open stream; `next` gives its events, None once it has ended."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.raw = b""
        self.started = asyncio.Event()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._rest = b""
        self._asked = False
        self._gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode().lower(): v.decode() for k, v in message["headers"]}
            self.started.set()
            return
        body = message.get("body", b"")
        self.raw += body
        *whole, self._rest = (self._rest + body).split(b"\n\n")
        for block in whole:
            event = _event(block.decode())
            if event is not None:
                self._events.put_nowait(event)
        if not message.get("more_body", False):
            self._gone.set()
            self._events.put_nowait(None)

    def hang_up(self) -> None:
        self._gone.set()

    async def next(self, seconds: float = 10.0) -> Event | None:
        async with asyncio.timeout(seconds):
            return await self._events.get()

    async def all(self, seconds: float = 10.0) -> list[Event]:
        """Everything up to the end of the stream."""
        found = []
        while (event := await self.next(seconds)) is not None:
            found.append(event)
        return found

    def now(self) -> list[Event]:
        """What has come already."""
        found = []
        while not self._events.empty():
            event = self._events.get_nowait()
            if event is not None:
                found.append(event)
        return found


def _event(block: str) -> Event | None:
    fields: dict[str, str] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
    if "event" not in fields:
        return None
    number = fields.get("id")
    return Event(
        fields["event"],
        None if number is None else int(number),
        json.loads(fields["data"]),
        asyncio.get_running_loop().time(),
    )


@asynccontextmanager
async def listening(
    app: FastAPI, path: str, authorization: str | None = None, **headers: str
) -> AsyncIterator[Listener]:
    """`GET path`, open while the block lasts; `headers` with _ for -."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if authorization is not None:
        given["authorization"] = authorization
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode()) for k, v in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("headway.test", 80),
    }
    listener = Listener()
    serving = asyncio.create_task(app(scope, listener.receive, listener.send))
    try:
        async with asyncio.timeout(10):
            await listener.started.wait()
        yield listener
    finally:
        listener.hang_up()
        async with asyncio.timeout(5):
            await serving
