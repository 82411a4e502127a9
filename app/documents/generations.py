"""SQL on the pages of documents, generation by generation; nobody here commits.

A run writes the pages of a generation of its own. Readers see the live one alone, from one
statement to the next; the others are dead and are removed in batches.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, case, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.db import driver, on_sqlite
from app.core.errors import Invalid
from app.documents import store
from app.documents.models import Document, DocumentPage

_REMOVED_AT_ONCE = 500  # pages per transaction: a long delete would hold SQLite's only lock
_PAGE_COLUMNS = (
    "document_id", "generation", "page_number", "has_text", "needs_ocr", "error", "text",
)  # fmt: skip

Page = tuple[int, str, bool, str | None]  # number, text, needs_ocr, error: as the child sends it
Note = tuple[str | None, str | None]  # error_code and error_message of a document that is ready


@dataclass(frozen=True, slots=True)
class Tally:
    """What one generation of pages amounts to."""

    pages: int
    readable: int  # pages with text that is not the noise of a scan
    without_text: int
    needing_ocr: int
    failed: int

    @property
    def note(self) -> Note:
        """What is wrong with a document that is ready. Raises `Invalid` for one that cannot be."""
        unreadable = f"{self.failed} of {self.pages} pages could not be read."
        if not self.readable and not self.needing_ocr:
            if self.failed:
                raise Invalid(f"The PDF has no text; {unreadable}", code="page_errors")
            raise Invalid("The PDF has neither text nor pictures of text.", code="no_text")
        if self.failed:
            return "page_errors", unreadable
        if not self.readable:
            return "needs_ocr", "The pages are pictures of text."
        return None, None


async def begin(
    session: AsyncSession, document_id: UUID, page_count: int, title: str | None
) -> int:
    """Hand out the document's next generation. Raises `DocumentGone`."""
    statement = (
        update(Document)
        .where(Document.id == document_id)
        .values(
            last_generation=Document.last_generation + 1,
            page_count=page_count,
            title=title,
        )
        .returning(Document.last_generation)
    )
    generation: int | None = await session.scalar(statement)
    if generation is None:
        raise store.gone()
    return generation


async def save(
    session: AsyncSession, document_id: UUID, generation: int, pages: Sequence[Page]
) -> None:
    """Store a batch of pages: COPY on PostgreSQL, one executemany on SQLite."""
    rows = [
        (document_id, generation, number, bool(content.strip()), needs_ocr, error, content)
        for number, content, needs_ocr, error in pages
    ]
    if on_sqlite(session):
        named = [dict(zip(_PAGE_COLUMNS, row, strict=True)) for row in rows]
        await session.execute(insert(DocumentPage), named)
        return
    raw = await driver(session)
    table = DocumentPage.__tablename__
    await raw.copy_records_to_table(table, records=rows, columns=_PAGE_COLUMNS)


async def tally(session: AsyncSession, document_id: UUID, generation: int) -> Tally:
    """Count the pages of a generation."""
    page = DocumentPage
    counted = select(
        func.count(),
        _number_of(page.has_text & ~page.needs_ocr),
        _number_of(~page.has_text),
        _number_of(page.needs_ocr),
        _number_of(page.error.is_not(None)),
    ).where(page.document_id == document_id, page.generation == generation)
    return Tally(*(await session.execute(counted)).one())


async def failed_pages(
    session: AsyncSession, document_id: UUID, generation: int, limit: int
) -> list[int]:
    """The first pages of a generation that could not be read."""
    page = DocumentPage
    statement = select(page.page_number).where(
        page.document_id == document_id, page.generation == generation, page.error.is_not(None)
    )
    return list(await session.scalars(statement.order_by(page.page_number).limit(limit)))


async def go_live(session: AsyncSession, document_id: UUID, generation: int) -> None:
    """Let readers see the pages of this generation, in place of any earlier one.

    Raises:
        Invalid: nothing in it can be read; see `Tally.note`.
    """
    counted = await tally(session, document_id, generation)
    code, message = counted.note
    await store.change(
        session,
        document_id,
        live_generation=generation,
        page_count=counted.pages,
        pages_without_text=counted.without_text,
        needs_ocr=counted.needing_ocr > 0,
        error_code=code,
        error_message=message,
    )


async def lengths(
    session: AsyncSession, document_id: UUID, generation: int, *, after: int, limit: int
) -> list[tuple[int, int]]:
    """Number and length in characters of the pages after page `after`, in order."""
    page = DocumentPage
    statement = (
        select(page.page_number, func.length(page.text))
        .where(page.document_id == document_id, page.generation == generation)
        .where(page.page_number > after)
        .order_by(page.page_number)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def texts(
    session: AsyncSession, document_id: UUID, generation: int, *, after: int, up_to: int
) -> list[tuple[int, str]]:
    """Number and text of some pages, in order."""
    page = DocumentPage
    statement = (
        select(page.page_number, page.text)
        .where(page.document_id == document_id, page.generation == generation)
        .where(page.page_number > after, page.page_number <= up_to)
        .order_by(page.page_number)
    )
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def live_pages(
    session: AsyncSession, document_id: UUID, *, limit: int, offset: int
) -> list[DocumentPage]:
    """Part of the live pages, in order; one statement, so never of two generations."""
    page = DocumentPage
    statement = (
        select(page)
        .join(
            Document,
            (Document.id == page.document_id) & (Document.live_generation == page.generation),
        )
        .where(Document.id == document_id)
        .where(page.page_number > offset, page.page_number <= offset + limit)
        .order_by(page.page_number)
    )
    return list(await session.scalars(statement))


async def first_dead(
    session: AsyncSession, document_id: UUID, keep: Collection[int]
) -> tuple[int, int] | None:
    """A generation outside `keep` that still has pages, and the first of them."""
    page = DocumentPage
    statement = (
        select(page.generation, page.page_number)
        .where(page.document_id == document_id, page.generation.not_in(keep))
        .order_by(page.generation, page.page_number)
        .limit(1)
    )
    row = (await session.execute(statement)).first()
    return None if row is None else (row[0], row[1])


async def remove_batch(
    session: AsyncSession, document_id: UUID, generation: int, first_page: int
) -> int:
    """Remove a batch of pages of a dead generation, from `first_page` on; how many."""
    page = DocumentPage
    result = await session.execute(
        delete(page).where(
            page.document_id == document_id,
            page.generation == generation,
            page.page_number < first_page + _REMOVED_AT_ONCE,
        )
    )
    return result.rowcount if isinstance(result, CursorResult) else 0


def _number_of(condition: ColumnElement[bool] | InstrumentedAttribute[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
