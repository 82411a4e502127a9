"""Searching over HTTP: one question to everything that the caller owns."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.api.accepted import answer
from app.api.deps import PageDep, ReadDep, ResourcesDep, UserDep, owner_of
from app.core.search import Asked, parse
from app.search import schemas
from app.search.legs import ask_all

router = APIRouter(tags=["search"])

_LONGEST = 1000  # characters of a query
_DEEPEST = 10_000  # hits that can be paged through; their ranks are worked out each time


@router.get("/search", response_model=schemas.Results)
async def search(
    session: ReadDep,
    user: UserDep,
    resources: ResourcesDep,
    page: PageDep,
    q: Annotated[str, Query(min_length=1, max_length=_LONGEST)],
    kind: Annotated[list[schemas.Kind] | None, Query()] = None,
    backup_id: Annotated[UUID | None, Query()] = None,
    document_id: Annotated[UUID | None, Query()] = None,
    mode: schemas.Mode = "hybrid",
) -> Response:
    """Search messages, notes, photos, events, contacts and documents, the best first.

    Of what is in backups and notes all words must occur, in any form and with or without accents;
    where nothing in backups has them all, any of them is enough. "Quoted words" follow one another, OR stands between alternatives, - before what must not occur, * for
    any ending. Documents are found by some of the words, by parts of words, and by their meaning
    where the question is in the model's language; the best page comes first, once. `kind` may be
    repeated. `mode` in the answer is the one that was really used.
    """
    query = parse(q)
    kinds = None if kind is None else frozenset(map(str, kind))
    asked = Asked(
        query=query,
        text=q,
        owner_id=owner_of(user),
        best=min(page.offset + page.limit, _DEEPEST),
        kinds=kinds,
        backup_id=backup_id,
        document_id=document_id,
        mode=mode,
    )
    found, used = await ask_all(resources, session, asked)
    shown = found.hits[page.offset : asked.best]
    results = [schemas.result(hit, query) for hit in shown]
    return answer({"results": results, "total": found.total, "mode": used})
