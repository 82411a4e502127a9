"""The dashboard: pages for a signed-in browser, and a form for one that is not.

Nothing here knows more than the API tells: reads go through the same statements, writes through
the same routes (`forms.py`). Without a session there is the sign-in form and no data.
"""

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.api.auth import User
from app.api.callers import caller_of, comes_from_here
from app.api.deps import ServicesDep
from app.api.services import Services
from app.api.sessions import close_session, is_loopback, open_session
from app.core.errors import Forbidden, NotFound, Unauthorized
from app.dashboard import forms
from app.dashboard.jobs_page import Wanted, jobs_page
from app.dashboard.pages import HEADERS, MEDIA_TYPES, STATIC, assets, page

router = APIRouter(include_in_schema=False)

_FOREVER = "public, max-age=31536000, immutable"  # an asset's address changes when it does
_PLAIN_HTTP = (
    "Your browser did not keep the session: over plain HTTP it does so only for this very machine. "
    "Put TLS in front, or come through 127.0.0.1."
)
_FOUND = 30  # results of a search on one page
_KINDS = {
    "message": "Message", "whatsapp_message": "WhatsApp", "backup_note": "iPhone note",
    "photo": "Photo", "event": "Event", "contact": "Contact", "document": "Document",
    "note": "Note",
}  # fmt: skip


@router.get("/")
async def front(
    request: Request, services: ServicesDep, wanted: Annotated[Wanted, Query()]
) -> Response:
    """The jobs, or the sign-in form."""
    user = await _signed_in(request, services)
    if user is None:
        lost = wanted.hello is not None and not is_loopback(request)
        return page("sign_in.html", said=_PLAIN_HTTP if lost else None)
    return await jobs_page(services, user, wanted)


@router.get("/dashboard/static/{name}")
async def asset(name: str) -> Response:
    """One of the page's own files."""
    if name not in assets():
        raise HTTPException(404)
    path = STATIC / name
    headers = {"Cache-Control": _FOREVER, "X-Content-Type-Options": "nosniff"}
    return Response(path.read_bytes(), 200, headers, MEDIA_TYPES[path.suffix])


@router.post("/dashboard/session")
async def sign_in(request: Request, services: ServicesDep) -> Response:
    """The sign-in form."""
    given = await forms.fields_of(request)
    try:
        opened = await open_session(request, services, given.get("token", ""))
    except (Unauthorized, Forbidden) as error:
        return page("sign_in.html", int(error.status), said=f"{str(error).capitalize()}.")
    return _to("/?hello=1", opened)


@router.post("/dashboard/sign-out")
async def sign_out(request: Request, services: ServicesDep) -> Response:
    """The way out; pressed after the session is over, it leads to the form all the same."""
    if not comes_from_here(request.headers):
        raise Forbidden("only the dashboard's own page may sign out", code="cross_site")
    return _to("/", await close_session(request, services))


@router.get("/dashboard/add")
async def add(request: Request, services: ServicesDep, known: UUID | None = None) -> Response:
    """Where a PDF is uploaded and a backup is registered."""
    user = await _signed_in(request, services)
    if user is None:
        return _to("/")
    said = None if known is None else "This file is known already; nothing is to be done."
    return page("add.html", user=user, said=said, failed=False)


@router.get("/dashboard/search")
async def search(
    request: Request, services: ServicesDep, q: str = "", kind: str = "", mode: str = "hybrid"
) -> Response:
    """One search across everything."""
    user = await _signed_in(request, services)
    if user is None:
        return _to("/")
    values: dict[str, Any] = {"user": user, "q": q, "kind": kind, "mode": mode, "kinds": _KINDS}
    if not q.strip():
        return page("search.html", found=None, said=None, **values)
    asked = {"q": q, "mode": mode, "limit": str(_FOUND)} | ({"kind": kind} if kind else {})
    answer = await forms.ask(request, "GET", "/search", **asked)
    if answer.status == 404:
        said = "There is no search in this installation yet."
        return page("search.html", found=None, said=said, **values)
    if not answer.ok:
        return page("search.html", answer.status, found=None, said=answer.sentence, **values)
    return page("search.html", found=answer.body, said=None, **values)


@router.post("/dashboard/jobs/{job_id}/{action}")
async def act(request: Request, services: ServicesDep, job_id: UUID, action: str) -> Response:
    """Cancel or retry; what does not succeed is said above the list."""
    if action not in ("cancel", "retry"):
        raise HTTPException(404)
    answer = await forms.send(request, f"/jobs/{job_id}/{action}", {})
    if answer.status == 401:
        return _to("/")
    if answer.ok:
        return _to(f"/?job={job_id}")
    user = await _signed_in(request, services)
    if user is None or answer.status in (403, 404):
        return _refused(answer)
    return await jobs_page(services, user, Wanted(job=job_id), said=answer.sentence, status=409)


@router.post("/dashboard/documents")
async def upload(request: Request, services: ServicesDep) -> Response:
    """The upload form."""
    return await _added(request, services, await forms.pass_on(request, "/documents"))


@router.post("/dashboard/backups")
async def register(request: Request, services: ServicesDep) -> Response:
    """The form that names a backup."""
    given = await forms.fields_of(request)
    return await _added(request, services, await forms.send(request, "/backups", given))


async def _added(request: Request, services: Services, answer: forms.Answer) -> Response:
    """To the job that was started, or back to the form with what was wrong."""
    if answer.ok and answer.body.get("job_id"):
        return _to(f"/?job={answer.body['job_id']}")
    if answer.ok:
        return _to(f"/dashboard/add?{urlencode({'known': answer.body.get('document_id', '')})}")
    user = await _signed_in(request, services)
    if user is None:
        return _to("/")
    return page("add.html", answer.status, user=user, said=answer.sentence, failed=True)


def _refused(answer: forms.Answer) -> Response:
    """The API's own refusal, as the error that it was there."""
    raise (NotFound if answer.status == 404 else Forbidden)(answer.sentence)


async def _signed_in(request: Request, services: Services) -> User | None:
    """Whose session the browser has, if it is alive. A database that is away is an error."""
    try:
        return (await caller_of(services.tokens, request.scope)).user
    except (Unauthorized, Forbidden):
        return None


def _to(address: str, carrying: Response | None = None) -> Response:
    """See other, with the cookie that another answer sets."""
    done = RedirectResponse(address, 303, HEADERS)
    if carrying is not None:
        done.raw_headers += [pair for pair in carrying.raw_headers if pair[0] == b"set-cookie"]
    return done
