"""Who sends a request: a bearer token, or the dashboard's session in a cookie.

A browser sends a cookie whoever made it send the request, so a cookie may write only when the
browser says that the request comes from our own pages.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from app.api.auth import User
from app.api.tokens import TokenCache, bearer, session
from app.core.errors import Forbidden, Unauthorized

COOKIE = "headway_session"
READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Caller:
    """A user, and what proves it for as long as it is alive (see `TokenCache.user_of`)."""

    user: User
    credential: str


async def caller_of(tokens: TokenCache, scope: Scope) -> Caller:
    """Who sends the request.

    Raises:
        Unauthorized: nobody that is known.
        Forbidden: a write by cookie that does not come from our own pages.
    """
    headers = Headers(scope=scope)
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("send a token: Authorization: Bearer …")
        credential = bearer(token)
        return Caller(await tokens.user_of(credential), credential)
    cookie = cookie_of(headers)
    if cookie is None:
        raise Unauthorized("send a token: Authorization: Bearer …")
    credential = session(cookie)
    user = await tokens.user_of(credential)
    if scope["method"] not in READING and not comes_from_here(headers):
        raise Forbidden(
            "a session may write only from the dashboard's own pages", code="cross_site"
        )
    return Caller(user, credential)


def cookie_of(headers: Headers) -> str | None:
    """The session that the browser sent, if any."""
    given = headers.get("cookie")
    return None if given is None else cookie_parser(given).get(COOKIE) or None


def comes_from_here(headers: Headers) -> bool:
    """Whether a browser says that the request comes from a page of this very address."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    host = headers.get("host", "").lower()
    return origin is not None and bool(host) and urlsplit(origin).netloc.lower() == host
