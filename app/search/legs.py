"""What is asked when somebody searches: one leg per domain and way of searching."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from app.backups import search as artifacts
from app.core.language import is_english
from app.core.search import Asked, Found
from app.documents import search as documents
from app.embedding import Embedder, spaces
from app.embedding.once import embedded_once
from app.notes import search as notes
from app.resources import Resources
from app.search.fusion import fuse

# None: this leg has nothing to say about such a question, or cannot be asked now.
Find = Callable[[Resources, AsyncSession, Asked], Awaitable[Found | None]]


class Leg(NamedTuple):
    """One way to search one domain."""

    name: str
    mode: Literal["keyword", "semantic"]
    kinds: frozenset[str]  # of `Hit.kind` that it may find
    find: Find


_DOCUMENTS = frozenset({"document"})

# Another domain's legs go beside these: its words, its meaning by vectors of the same model.
LEGS: Sequence[Leg] = (
    Leg("backup words", "keyword", artifacts.KINDS, artifacts.by_words),
    Leg("document words", "keyword", _DOCUMENTS, documents.by_words),
    Leg("document pieces", "keyword", _DOCUMENTS, documents.by_pieces),
    Leg("document meaning", "semantic", _DOCUMENTS, documents.by_meaning),
    Leg("note words", "keyword", notes.KINDS, notes.by_words),
    Leg("note meaning", "semantic", notes.KINDS, notes.by_meaning),
)


async def ask_all(resources: Resources, session: AsyncSession, asked: Asked) -> tuple[Found, str]:
    """What everything that can be searched has found together, and the mode that it really was."""
    legs = _chosen(resources.embedder, asked)
    async with _embedding(resources, session, asked, legs) as lent:
        answers = [(leg, await leg.find(lent, session, asked)) for leg in legs]
    spoke = [(leg, answer) for leg, answer in answers if answer is not None]
    found = fuse([(leg.kinds, answer) for leg, answer in spoke], asked.best)
    shown = await documents.with_texts(session, found.hits)
    return found._replace(hits=shown), _used(asked.mode, [leg for leg, _ in spoke])


def _chosen(embedder: Embedder, asked: Asked) -> list[Leg]:
    """The legs of a search; of a mode that no leg has, none.

    A model that knows English alone is asked for the meaning of English, and of whatever else
    somebody wants to hear it about by name.
    """
    able = [leg for leg in LEGS if asked.kinds is None or leg.kinds & asked.kinds]
    modes = {asked.mode} if asked.mode != "hybrid" else {"keyword", "semantic"}
    if asked.mode == "hybrid" and embedder.language == "en" and not is_english(asked.text):
        modes = {"keyword"}
    return [leg for leg in able if leg.mode in modes]


@asynccontextmanager
async def _embedding(
    resources: Resources, session: AsyncSession, asked: Asked, legs: Sequence[Leg]
) -> AsyncGenerator[Resources]:
    """The resources, with a question that is being embedded if any leg may want that.

    Where nothing was ever embedded no model is loaded for it.
    """
    semantic = any(leg.mode == "semantic" for leg in legs)
    if not semantic or asked.backup_id is not None or not await spaces.any_model(session):
        yield resources
        return
    async with embedded_once(resources.embedder, asked.text) as embedder:
        yield replace(resources, embedder=embedder)


def _used(mode: str, spoke: Sequence[Leg]) -> str:
    """The mode that a search really had: hybrid is both, when both had something to say."""
    modes = {leg.mode for leg in spoke}
    return mode if mode != "hybrid" or len(modes) == 2 else next(iter(modes), "keyword")
