"""/session: signing a browser in with a token, and out again."""

import secrets
from datetime import timedelta
from ipaddress import ip_address
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, SecretStr
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.accepted import answer
from app.api.auth import hash_of
from app.api.callers import COOKIE, caller_of, comes_from_here, cookie_of
from app.api.deps import ServicesDep
from app.api.models import SessionRow, TokenRow
from app.api.services import Services
from app.api.tokens import bearer, session
from app.core.columns import new_id, now
from app.core.errors import Forbidden, Unauthorized

# Not in the description of the API: it is between the dashboard and the browser.
router = APIRouter(prefix="/session", include_in_schema=False)

_HOURS = 12
_RANDOM_BYTES = 32


class SignIn(BaseModel):
    """What the dashboard's form sends."""

    token: SecretStr | None = Field(None, max_length=200)


@router.post("")
async def sign_in(request: Request, services: ServicesDep, given: SignIn) -> Response:
    """Set a cookie that stands for the token: for 12 hours, or until the token ends."""
    if given.token is None:
        raise Unauthorized('send the token: {"token": "hw_…"}')
    return await open_session(request, services, given.token.get_secret_value())


@router.delete("")
async def sign_out(request: Request, services: ServicesDep) -> Response:
    """End the session of the cookie that was sent; a bearer token is left as it is."""
    await caller_of(services.tokens, request.scope)
    return await close_session(request, services)


async def open_session(request: Request, services: Services, token: str) -> Response:
    """An answer that carries the cookie of a new session.

    Raises:
        Unauthorized: the token is not alive.
        Forbidden: another site's page sent this.
    """
    if _is_foreign(request):
        raise Forbidden("only the dashboard's own page may sign in", code="cross_site")
    user = await services.tokens.user_of(bearer(token.strip()))
    cookie = secrets.token_urlsafe(_RANDOM_BYTES)

    async def work(opened: AsyncSession) -> None:
        await _store(opened, hash_of(token.strip()), cookie)

    await services.resources.db.run(work, patience=4.0)
    done = answer({"user": user.name, "admin": user.is_admin})
    done.set_cookie(
        COOKIE,
        cookie,
        max_age=_HOURS * 3600,
        httponly=True,
        samesite="strict",
        secure=not is_loopback(request),
    )
    return done


async def close_session(request: Request, services: Services) -> Response:
    """204, with the cookie taken away and its session ended."""
    cookie = cookie_of(request.headers)
    if cookie is not None:
        statement = delete(SessionRow).where(SessionRow.session_hash == hash_of(cookie))

        async def work(opened: AsyncSession) -> None:
            await opened.execute(statement)

        await services.resources.db.run(work, patience=4.0)
        services.tokens.forget(session(cookie))
    done = Response(status_code=204)
    done.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=not is_loopback(request))
    return done


def is_loopback(request: Request) -> bool:
    """Whether the browser calls its own machine, over which a cookie needs no TLS."""
    host = request.url.hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def _store(opened: AsyncSession, token_hash: str, cookie: str) -> None:
    """Keep the session's hash, and forget sessions that are over."""
    await opened.execute(delete(SessionRow).where(SessionRow.expires_at < now()))
    find = select(TokenRow.id, now()).where(
        TokenRow.token_hash == token_hash, TokenRow.revoked_at.is_(None)
    )
    found = (await opened.execute(find)).one_or_none()
    if found is None:
        raise Unauthorized("the token is unknown, expired or revoked")
    token_id: UUID = found[0]
    values = {
        "id": new_id(),
        "token_id": token_id,
        "session_hash": hash_of(cookie),
        "created_at": found[1],
        "expires_at": found[1] + timedelta(hours=_HOURS),
    }
    await opened.execute(insert(SessionRow).values(**values))


def _is_foreign(request: Request) -> bool:
    """Whether a browser says that the request is another site's; programs say nothing."""
    says = {"sec-fetch-site", "origin"} & set(request.headers)
    return bool(says) and not comes_from_here(request.headers)
