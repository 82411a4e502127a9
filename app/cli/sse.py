"""Reading Server-Sent Events."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

MEDIA_TYPE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `id` is the last one that was sent, as a browser has it."""

    kind: str
    id: str
    data: str


async def events(answer: httpx.Response) -> AsyncIterator[Event]:
    """The events of an open stream, until it ends. Raises httpx's errors."""
    kind, number, data = "message", "", list[str]()
    async for line in _lines(answer):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(kind, number, "\n".join(data))
            kind, data = "message", []
        elif name == "event":
            kind = value
        elif name == "id":
            number = value
        elif name == "data":
            data.append(value)


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    """The lines, which end with a line feed only: text may hold what Python also takes for an end."""
    left = ""
    async for text in answer.aiter_text():
        *whole, left = (left + text).split("\n")
        for line in whole:
            yield line.removesuffix("\r")
