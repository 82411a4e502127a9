"""What every request passes first: an id for the logs, a limit for its body, a last net."""

import re
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import REQUEST_ID, render
from app.core.logging import bound

JSON_BYTES = 1024 * 1024
_OVERHEAD = 1024 * 1024  # of a multipart body, around its file
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Front:
    """The outermost layer, bare ASGI because the polling GET passes it too.

    A request's id is the caller's `X-Request-ID` if it is a plain one, else new; it is on every
    log line and in the answer.
    """

    def __init__(self, app: ASGIApp, *, upload_bytes: int) -> None:
        self._app = app
        self._upload_bytes = upload_bytes + _OVERHEAD

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; whatever happens to it, it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else uuid4().hex
        scope[REQUEST_ID] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        with bound(request_id=request_id):
            try:
                if scope["method"] not in ("GET", "HEAD"):
                    receive = self._limited(headers, receive)
                await self._app(scope, receive, send_with_id)
            except Exception as error:
                if started:
                    raise
                await render(error, scope)(scope, receive, send_with_id)

    def _limited(self, headers: Headers, receive: Receive) -> Receive:
        multipart = headers.get("content-type", "").lower().startswith("multipart/")
        limit = self._upload_bytes if multipart else JSON_BYTES
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _too_large(limit)
            return message

        return counted


def _too_large(limit: int) -> HTTPException:
    """An HTTPException, because FastAPI turns any other error of reading a body into a 400.

    The connection stays open: closed under a client that is still sending, it would be reset
    before the answer is read. The server reads the rest and drops it.
    """
    return HTTPException(413, f"the body is larger than {limit} bytes")
