"""Row makers write the columns of their tables, in order."""

import sqlite3
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from app.backups.domain_run import DomainRun, Found
from app.backups.domains import DOMAINS
from app.backups.items.messages import Message
from app.backups.parsers.message_records import MessageColumns
from app.backups.people import Directory
from app.backups.rows.frames import MOST_RECORDS, Frames, without_collector
from app.backups.rows.making import RecordMaker, spoken
from app.backups.rows.messages import MessageMaker
from app.backups.rows.writing import write
from app.core.db import Database
from app.core.passing import is_bad_data
from app.core.processes import Refused
from tests.backups.parsers.columns import messages

RENAMED = {"id": "number", "calendar_id": "calendar"}  # fields that are called otherwise in tables
BEGUN = {"generation": 1, "fingerprint": "fingerprint"}  # by an earlier attempt
SQLITE = SimpleNamespace(is_sqlite=True)
HEAD = msgspec.msgpack.encode(["head", {"total": 0}])
END = msgspec.msgpack.encode(["end", {"warnings": []}])
RECORD_MAKERS = [domain.maker for domain in DOMAINS if issubclass(domain.maker, RecordMaker)]


@pytest.mark.parametrize("maker", RECORD_MAKERS)
def test_columns_are_the_fields_of_the_record_and_words(maker: type[RecordMaker]) -> None:
    columns = [column.name for column in maker.model.__table__.columns]
    fields = [RENAMED.get(name, name) for name in maker.record._fields]

    assert columns == ["backup_id", "generation", *fields, "words"]


def test_times_and_lists_are_what_the_database_takes() -> None:
    card = next(one for one in DOMAINS if one.name == "contacts")
    assert issubclass(card.maker, RecordMaker)
    empty = dict.fromkeys(card.maker.record._fields)
    lists: dict[str, list[str]] = {
        key: [] for key in ("phones", "emails", "addresses", "urls", "social", "related")
    }
    made = datetime(2025, 1, 2, tzinfo=UTC)
    record = card.maker.record(
        **{
            **empty,
            **lists,
            "dates": [],
            "groups": ["Family"],
            "linked_ids": [3],
            "created_at": made,
        }
    )

    for sqlite, time in ((True, "2025-01-02T00:00:00.000000Z"), (False, made)):
        maker = card.maker(uuid4(), 1, Directory(), sqlite=sqlite)
        ((_, (row,)),) = maker.items([record])
        named = dict(zip([c.name for c in card.maker.model.__table__.columns], row, strict=True))
        assert (named["groups"], named["linked_ids"]) == ('["Family"]', "[3]")
        assert (named["created_at"], named["words"]) == (time, "Family")


def test_frames_of_another_kind_are_refused() -> None:
    frames = Frames(int, list[tuple[int, str]])

    for frame in (b"", b"\xc1", b"\x93\xa7records\x91\x92\x01\x02\x00", b"\x91\xa4what"):
        with pytest.raises(Refused):
            frames.decode(frame)
    with without_collector():
        assert spoken("a", None, ["b", "a", ""], None) == "a\nb"
    assert spoken(None, []) is None


def test_a_frame_of_more_records_than_anybody_asks_for_is_refused() -> None:
    frames = Frames(int, list[int])

    assert len(frames.records(msgspec.Raw(msgspec.msgpack.encode([0] * MOST_RECORDS)))) == 5_000
    with pytest.raises(Refused):
        frames.records(msgspec.Raw(msgspec.msgpack.encode([0] * (MOST_RECORDS + 1))))
    with pytest.raises(Refused):
        columns = msgspec.msgpack.encode(messages(MOST_RECORDS + 1))
        MessageMaker.frames.records(msgspec.Raw(columns))


@pytest.mark.parametrize("place", [0, 299, 599])
async def test_of_a_batch_with_a_row_that_is_there_twice_nothing_stays(
    db: Database, place: int
) -> None:
    maker = MessageMaker(uuid4(), 1, Directory(), sqlite=db.is_sqlite)
    ((model, rows), files) = maker.items(messages(600))
    calls: list[int] = []

    async with db.transaction() as session:
        await session.execute(select(1))
        await write(session, [(model, rows[:300]), files], lambda: calls.append(1))
    with pytest.raises((DBAPIError, sqlite3.IntegrityError, asyncpg.UniqueViolationError)) as error:
        async with db.transaction() as session:
            await session.execute(select(1))
            await write(session, [(model, [*rows[300:], rows[place]])])

    assert is_bad_data(error.value)
    assert calls == [1]
    async with db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(Message)) == 300


def test_columns_of_different_messages_are_refused() -> None:
    maker = MessageMaker(uuid4(), 1, Directory(), sqlite=True)

    with pytest.raises(Refused):
        maker.items(MessageColumns.none()._replace(subject={0: "Nobody's"}))


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [END],
        [HEAD, HEAD],
        [HEAD],
        [HEAD, b"", END],
        [HEAD, END, END],
        [HEAD, 1],
    ],
    ids=[
        "nothing",
        "no head",
        "two heads",
        "no end",
        "an empty one",
        "two ends",
        "no bytes",
    ],
)
async def test_frames_in_another_order_are_refused(sent: list[Any]) -> None:
    class Pool:
        async def stream(self, _request: object) -> AsyncGenerator[Any, None]:
            for frame in sent:
                yield frame

    ctx: Any = SimpleNamespace(cursor={"notes": BEGUN}, resources=SimpleNamespace(db=SQLITE))
    notes = next(one for one in DOMAINS if one.name == "notes")
    run = DomainRun(ctx, uuid4(), notes, Found("fingerprint", [], {}))
    pool: Any = Pool()

    with pytest.raises(Refused):
        await run.read(pool, Directory(), "fingerprint")
