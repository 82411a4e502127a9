"""Every error as application/problem+json (RFC 9457); never a traceback, never the input."""

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.core.errors import AppError, Conflict, Invalid, TooLarge, Unavailable, Unsupported
from app.core.passing import is_passing, is_race

log = logging.getLogger(__name__)

REQUEST_ID = "headway.request_id"  # where the front door leaves it in the scope
MEDIA_TYPE = "application/problem+json"

_CODES = {  # as our own errors of that status say; Python renames its phrases
    400: "bad_request",
    413: TooLarge.code,
    415: Unsupported.code,
    422: Invalid.code,
}


def install(app: FastAPI) -> None:
    """Let `app` answer errors inside a route; what is left over the front door catches."""

    async def handle(request: Request, error: Exception) -> Response:
        return render(error, request.scope)

    for kind in (AppError, RequestValidationError, HTTPException, DBAPIError, OSError):
        app.add_exception_handler(kind, handle)


def render(error: Exception, scope: Scope) -> Response:
    """The answer to a request that ended in `error`."""
    known = _known(error)
    errors: list[dict[str, str]] | None = None
    headers: dict[str, str] = {}
    if isinstance(known, RequestValidationError):
        status, code = HTTPStatus.UNPROCESSABLE_ENTITY, "invalid"
        detail, errors = "the request makes no sense; see errors", _fields(known)
    elif isinstance(known, HTTPException):
        status = HTTPStatus(known.status_code)
        code, detail = _code_of(status), _sentence(known, status)
        headers |= dict(known.headers or {})
    elif isinstance(known, AppError):
        status, code, detail = HTTPStatus(known.status), known.code, str(known)
        errors = known.errors if isinstance(known, Invalid) else None
        headers |= _retry_after(known)
    else:
        log.error("request failed", exc_info=error)
        status, code = HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error"
        detail = "something went wrong here; the log has it under this request_id"
    if status is HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")
    return problem(scope, status, code, detail, errors=errors, headers=headers)


def problem(
    scope: Scope,
    status: HTTPStatus,
    code: str,
    detail: str,
    *,
    errors: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One problem as a response."""
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "instance": scope.get("path", ""),
        "code": code,
        "request_id": scope.get(REQUEST_ID, ""),
    }
    if errors is not None:
        body["errors"] = errors
    content = msgspec.json.encode(body)
    return Response(content, int(status), dict(headers or {}), MEDIA_TYPE)


def _known(error: Exception) -> Exception:
    """What a person needs to hear of an error that a driver raised."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        if state.startswith("22"):
            return Invalid("a value is not one that the database can store")
        if is_race(error):
            return Conflict("another request was faster; try again")
    if _lacks_schema(error):
        return Unavailable("the database lacks migrations: headway db upgrade", code="not_migrated")
    if isinstance(error, UnicodeEncodeError):  # a lone surrogate from a JSON escape
        return Invalid("a text is not valid Unicode")
    if not isinstance(error, AppError) and is_passing(error):
        log.warning("database away", extra={"error": repr(error)[:300]})
        return Unavailable("the database does not answer", retry_after=1)
    return error


def _lacks_schema(error: Exception) -> bool:
    raw = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(raw, "sqlstate", None)
    return state in ("42P01", "42703") or str(raw).startswith(("no such table", "no such column"))


def _fields(error: RequestValidationError) -> list[dict[str, str]]:
    """Which fields are wrong, and why; their values may be secrets and are left out."""
    found = []
    for each in error.errors():
        where = [str(part) for part in each["loc"]]
        field = ".".join(where[1:]) or where[0]
        pointer = "#/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in where)
        found.append({"pointer": pointer, "field": field, "detail": str(each["msg"])})
    return found


def _retry_after(error: AppError) -> dict[str, str]:
    seconds = error.retry_after
    if seconds is None and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        seconds = 1
    return {} if seconds is None else {"Retry-After": str(max(1, math.ceil(seconds)))}


def _code_of(status: HTTPStatus) -> str:
    return _CODES.get(int(status), status.name.lower())


def _sentence(error: HTTPException, status: HTTPStatus) -> str:
    if status is HTTPStatus.NOT_FOUND and error.detail == status.phrase:
        return "there is nothing at this address"
    return str(error.detail)
