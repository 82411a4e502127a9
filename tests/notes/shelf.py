"""Notes by the hundred, and a model that costs nothing and says what it was asked."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import select, text, update

from app.core.db import Database
from app.embedding import EmbeddingRefused, Identity, Language
from app.embedding.vectors import Vectors, unit_rows
from app.jobs.models import BackgroundJob
from app.notes import store
from app.notes.jobs import regenerate_embeddings
from app.notes.models import Note, NoteEmbedding
from tests.harness import JobHarness
from tests.site import Site


@dataclass
class Model:
    """Counts letters. `before` is called with each call's number, from 1, and may raise."""

    name: str = "letters"
    calls: list[list[str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)  # texts that hold one of these words
    before: Callable[[int], Awaitable[None]] | None = None
    language: Language = "any"

    @property
    def asked(self) -> Counter[str]:
        return Counter(each for call in self.calls for each in call)

    async def identity(self) -> Identity:
        return Identity(self.name, self.name, 26)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(list(texts))
        if self.before is not None:
            await self.before(len(self.calls))
        if any(word in each for word in self.refused for each in texts):
            raise EmbeddingRefused("The model will not have it.")
        rows = [[each.lower().count(chr(97 + n)) + 0.01 for n in range(26)] for each in texts]
        return unit_rows(np.array(rows, np.float32))

    async def aclose(self) -> None: ...


def with_model(site: Site, model: Model) -> JobHarness:
    return JobHarness(replace(site.resources, embedder=model), [regenerate_embeddings])


async def fill(db: Database, owner_id: UUID, count: int) -> list[UUID]:
    """So many notes, behind the back of the API: no refresh is asked for."""
    async with db.transaction() as session:
        notes = [await store.add(session, owner_id, f"n{n}", "some text") for n in range(count)]
    return [note.id for note in notes]


async def owner(site: Site) -> UUID:
    async with site.resources.db.reading() as session:
        found = await session.scalar(text("SELECT id FROM users WHERE name = 'alice'"))
    return found if isinstance(found, UUID) else UUID(str(found))


async def jobs(site: Site) -> list[BackgroundJob]:
    """Every regeneration there is, the oldest first."""
    kind = BackgroundJob.kind == "embedding_regeneration"
    async with site.resources.db.reading() as session:
        return list(
            await session.scalars(select(BackgroundJob).where(kind).order_by(BackgroundJob.seq))
        )


async def hurry(site: Site) -> None:
    """Let no job wait for its time."""
    async with site.resources.db.transaction() as session:
        await session.execute(update(BackgroundJob).values(run_after=BackgroundJob.created_at))


async def unembedded(site: Site) -> int:
    """How many notes have no vector of their present text."""
    fresh = (NoteEmbedding.note_id == Note.id) & (NoteEmbedding.text_hash == Note.text_hash)
    missing = select(Note.id).outerjoin(NoteEmbedding, fresh).where(NoteEmbedding.vector.is_(None))
    async with site.resources.db.reading() as session:
        return len(list(await session.scalars(missing)))


async def regenerate(site: Site, **body: Any) -> UUID:
    answer = await site.alice.post("/semantic/regenerate-embeddings", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/jobs/{answer.json()['job_id']}"
    return UUID(answer.json()["job_id"])
