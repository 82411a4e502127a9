"""Forms for browsers without JavaScript: each is passed on to the API and answered with a page.

The API's own rules hold, because it is the API that answers: who may do what, limits, sizes.
A form's fields become the JSON that the route takes; an upload is passed on as it comes.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import Request
from starlette.types import Message, Receive

_KEPT = ("type", "asgi", "http_version", "scheme", "client", "server", "root_path", "state")
_HEADERS = (b"host", b"cookie", b"origin", b"sec-fetch-site", b"x-request-id")
_LONGEST = 64 * 1024  # bytes of a form that is no upload


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered."""

    status: int
    headers: dict[str, str]
    body: Any  # parsed JSON; {} for anything else

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status < 300

    @property
    def sentence(self) -> str:
        """What a problem says to people, wrong fields included."""
        fields = [f"{each['field']}: {each['detail']}" for each in self.body.get("errors") or ()]
        return "; ".join([str(self.body.get("detail", f"the API answered {self.status}")), *fields])


async def fields_of(request: Request) -> dict[str, str]:
    """The fields of a form that were filled in."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST:
            return {}
    return dict(parse_qsl(body.decode("utf-8", "replace")))


async def ask(request: Request, method: str, path: str, **query: str) -> Answer:
    """Ask the API in the name of whoever sent `request`; nothing of its body is passed on."""
    return await _call(request, method, path, urlencode(query), b"", [])


async def send(request: Request, path: str, body: dict[str, str]) -> Answer:
    """POST `body` as JSON."""
    headers = [(b"content-type", b"application/json")]
    return await _call(request, "POST", path, "", json.dumps(body).encode(), headers)


async def pass_on(request: Request, path: str) -> Answer:
    """POST the body of `request` as it comes."""
    wanted = (b"content-type", b"content-length")
    headers = [pair for pair in request.headers.raw if pair[0].lower() in wanted]
    return await _call(request, "POST", path, "", request.receive, headers)


async def _call(
    request: Request,
    method: str,
    path: str,
    query: str,
    body: bytes | Receive,
    headers: list[tuple[bytes, bytes]],
) -> Answer:
    scope = {name: request.scope[name] for name in _KEPT if name in request.scope}
    passed = [pair for pair in request.headers.raw if pair[0].lower() in _HEADERS]
    scope |= {
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "headers": passed + headers,
    }
    scope |= {"query_string": query.encode()}
    got: dict[str, Any] = {"status": 500, "headers": {}, "body": b""}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            got["status"] = message["status"]
            got["headers"] = {
                k.decode("latin-1"): v.decode("latin-1") for k, v in message["headers"]
            }
        else:
            got["body"] += message.get("body", b"")

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    await request.app(scope, receive if isinstance(body, bytes) else body, send)
    return Answer(got["status"], got["headers"], _parsed(got["body"]))


def _parsed(body: bytes) -> Any:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
