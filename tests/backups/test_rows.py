"""Row makers write the columns of their tables, in order."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from app.backups.domains import DOMAINS
from app.backups.people import Directory
from app.backups.rows.frames import Frames, without_collector
from app.backups.rows.making import RecordMaker, spoken
from app.core.processes import Refused

RENAMED = {"id": "number", "calendar_id": "calendar"}  # fields that are called otherwise in tables
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
    frames = Frames(int, tuple[int, str])

    for frame in (b"", b"\xc1", b"\x93\xa7records\x91\x92\x01\x02\x00", b"\x91\xa4what"):
        with pytest.raises(Refused):
            frames.decode(frame)
    with without_collector():
        assert spoken("a", None, ["b", "a", ""], None) == "a\nb"
    assert spoken(None, []) is None
