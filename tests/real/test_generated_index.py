"""Generated backups through the whole job into each database: every counter of their truth."""

import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from app.backups import generations, search
from app.backups.domains import DOMAINS
from app.backups.items.calendar import CalendarEvent
from app.backups.items.contacts import Contact
from app.backups.items.messages import Message, MessageConversation
from app.backups.items.notes import BackupNote
from app.backups.items.photos import PhotoAsset
from app.backups.items.whatsapp import WhatsAppMessage
from app.backups.jobs import IndexBackup
from app.core.search import Asked, parse
from app.resources import open_resources
from tests.backups.house import House, sms
from tests.conftest import MakeSettings

TOOLS = Path(__file__).parents[3] / "shared" / "tools" / "backup_generator"
PASSWORD = "pässword"
SAMPLES = 40  # texts of each truth that are looked for
EVERYTHING = 200_000  # two words are in thousands of generated texts, which have few words

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not TOOLS.is_dir(), reason=f"no generator at {TOOLS}"),
]


class Generated:
    def __init__(self, folder: Path, messages: int, *more: str) -> None:
        self.folder = folder / "backup"
        command = [sys.executable, str(TOOLS / "gen_backup.py"), str(self.folder)]
        subprocess.run([*command, "--messages", str(messages), *more], check=True)
        self.truth = json.loads(self.folder.with_name("backup.truth.json").read_bytes())
        self.truth["messages"]["deleted_tapbacks"] = self._deleted_tapbacks()

    def _deleted_tapbacks(self) -> int:
        """Of the deleted rows, those that are no messages; the truth does not tell them apart."""
        sql = """SELECT count(*) FROM chat_recoverable_message_join JOIN message
          ON message.ROWID = message_id WHERE associated_message_type >= 2000"""
        uri = f"file:{sms(self.folder)}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as db:
            return int(db.execute(sql).fetchone()[0])

    def locked(self) -> Path:
        target = self.folder.with_name("locked")
        command = [sys.executable, str(TOOLS / "encrypt_backup.py"), str(self.folder), str(target)]
        subprocess.run([*command, "--password", PASSWORD], check=True)
        return target


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return Generated(tmp_path_factory.mktemp("small"), 2_000)


@pytest.fixture
async def house(make_settings: MakeSettings, tmp_path: Path) -> AsyncIterator[House]:
    async with open_resources(make_settings(backup_roots=(Path("/"),))) as resources:
        yield House(resources, tmp_path, tmp_path)


async def index(house: House, folder: Path, password: str | None = None) -> UUID:
    backup_id = await house.register(folder)
    async with house.resources.db.transaction() as session:
        args = IndexBackup(backup_id=backup_id, with_password=password is not None)
        stored = await house.jobs.queue.enqueue(session, args)
        if password is not None:
            key = house.resources.settings.secret()
            await house.jobs.queue.keep_secret(session, stored, key, password)
    await house.jobs.run_all()
    row = await house.jobs.row(stored.id)
    assert (row.status, row.error_message) == ("completed", None)
    assert row.result is not None
    assert row.result["warnings"] == []
    assert row.processed_items == row.total_items
    return backup_id


async def reproduce(house: House, backup_id: UUID, truth: dict[str, Any]) -> None:
    """Everything the truth counts is in the tables."""
    messages, whatsapp = truth["messages"], truth["whatsapp"]
    kinds, types = messages["kinds"], whatsapp["types"]
    # Replies, contacts and places have a media row too, and no file.
    no_files = sum(types.get(one, 0) for one in ("reply", "4", "5"))
    assert await house.seen(backup_id) == {
        "conversations": messages["chats"],
        "messages": messages["messages"] - kinds["tapback"],
        "message_attachments": messages["attachments"],
        "whatsapp_chats": whatsapp["chats"],
        "whatsapp_messages": whatsapp["messages"],
        "whatsapp_attachments": whatsapp["media"] - no_files,
        "notes": truth["notes"]["notes"],
        "calendars": truth["calendar"]["calendars"],
        "events": truth["calendar"]["events"],
        "contacts": truth["contacts"]["persons"],
        "photos": truth["photos"]["assets"],
    }

    async def count(table: Any, *conditions: Any) -> int:
        domain = next(one.name for one in DOMAINS if table in one.counts)
        live = generations.live(backup_id, domain)
        statement = (
            select(func.count())
            .select_from(table)
            .where(table.backup_id == backup_id, table.generation == live, *conditions)
        )
        async with house.resources.db.reading() as session:
            return int((await session.execute(statement)).scalar_one())

    assert await count(MessageConversation, MessageConversation.is_group) == messages["groups"]
    assert await count(Message, Message.unsent) == kinds["unsent"]
    assert await count(Message, Message.edits.is_not(None)) == kinds["edited"]
    assert await count(Message, Message.effect.is_not(None)) == kinds["effect"]
    assert await count(Message, Message.reply_to_guid.is_not(None)) == kinds["reply"]
    assert await count(Message, Message.kind == "group_event") == kinds.get("group_event", 0)
    deleted = messages["recently_deleted"] - messages["deleted_tapbacks"]
    assert await count(Message, Message.deleted_at.is_not(None)) == deleted
    reactions = await count(WhatsAppMessage, WhatsAppMessage.reactions.is_not(None))
    assert reactions == whatsapp["reactions"]
    with_files = Message.kind.in_(("attachment", "audio"))
    assert await count(Message, with_files) == kinds["attachment"]
    for name in ("favorite", "hidden", "trashed"):
        assert await count(PhotoAsset, getattr(PhotoAsset, name)) == truth["photos"][name]
    assert await count(PhotoAsset, PhotoAsset.kind == "video") == truth["photos"]["video"]
    for name in ("locked", "trashed", "pinned", "tombstone"):
        assert await count(BackupNote, getattr(BackupNote, name)) == truth["notes"][name], name
    for name, found in (
        ("recurrences", CalendarEvent.rrule),
        ("locations", CalendarEvent.location),
    ):
        assert await count(CalendarEvent, found.is_not(None)) == truth["calendar"][name], name
    assert await count(Contact, Contact.has_image) == truth["contacts"]["images"]
    assert await count(PhotoAsset, PhotoAsset.latitude.is_not(None)) == truth["photos"]["with_gps"]


async def find_samples(house: House, truth: dict[str, Any]) -> None:
    """Two words of every sample text find it."""
    dice = random.Random(1)
    texts = [one["text"] for one in truth["messages"]["sample"] if one["kind"] == "text"]
    texts += [one["text"] for one in truth["whatsapp"]["sample"] if one["text"]]
    texts += [one["text"] for one in truth["notes"]["sample"] if one["text"]]
    for text in dice.sample([one for one in texts if one], SAMPLES):
        known = [word for word in text.split() if word.isalpha()]
        if len(known) < 2:
            continue
        q = " ".join(dice.sample(known, 2))
        async with house.resources.db.reading() as session:
            asked = Asked(parse(q), q, None, best=EVERYTHING)
            found = await search.by_words(house.resources, session, asked)
        flat = " ".join(text.replace("\ufffc", " ").split())  # which only marks a file's place
        assert any(flat in " ".join(hit.text.split()) for hit in found.hits), (q, text)


async def test_a_generated_backup_gives_its_truth(house: House, small: Generated) -> None:
    backup_id = await index(house, small.folder)

    await reproduce(house, backup_id, small.truth)
    await find_samples(house, small.truth)


async def test_an_encrypted_one_gives_the_same(house: House, small: Generated) -> None:
    plain = await index(house, small.folder)
    locked = await index(house, small.locked(), PASSWORD)

    assert await house.content(locked) == await house.content(plain)


async def test_messages_in_a_hashed_log_are_not_lost(house: House, tmp_path: Path) -> None:
    generated = Generated(tmp_path / "wal", 2_000, "--wal", "0.1")
    assert generated.truth["messages"]["messages_in_wal"] > 100

    backup_id = await index(house, generated.folder)

    await reproduce(house, backup_id, generated.truth)


@pytest.mark.long
@pytest.mark.parametrize("messages", [10_000, 100_000])
async def test_large_ones_give_their_truth(house: House, tmp_path: Path, messages: int) -> None:
    generated = Generated(tmp_path / "large", messages)

    backup_id = await index(house, generated.folder)

    await reproduce(house, backup_id, generated.truth)
    await find_samples(house, generated.truth)


@pytest.mark.long
async def test_a_large_locked_one_with_a_log_gives_its_truth(house: House, tmp_path: Path) -> None:
    generated = Generated(tmp_path / "large", 10_000, "--wal", "0.1")

    plain = await index(house, generated.folder)
    locked = await index(house, generated.locked(), PASSWORD)

    await reproduce(house, locked, generated.truth)
    await find_samples(house, generated.truth)
    assert await house.content(locked) == await house.content(plain)
