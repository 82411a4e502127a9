from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.backups.parsers.backup_files import file_id
from app.backups.parsers.errors import UnsupportedSchema
from app.backups.parsers.source import Source
from app.backups.parsers.whatsapp import WhatsApp
from app.backups.parsers.whatsapp_records import (
    Attachment,
    Chat,
    ContactCard,
    GroupEvent,
    Message,
    Participant,
    Person,
    Reaction,
)
from app.backups.reading_artifacts import read_whatsapp
from tests.backups.parsers.chat_storage import (
    ADA,
    BO,
    GROUP,
    LID,
    ChatStorage,
    quoting,
    reacting,
)
from tests.backups.parsers.tables import Tables

DOMAIN = "AppDomainGroup-group.net.whatsapp.WhatsApp.shared"
BUSINESS = "AppDomainGroup-group.net.whatsapp.WhatsAppSMB.shared"
NOON_MS = 1683043229311
NOON = datetime(2023, 5, 2, 16, 0, 29, 311000, tzinfo=UTC)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[ChatStorage]:
    made = ChatStorage(tmp_path / "ChatStorage.sqlite")
    yield made
    made.db.close()


def test_a_plain_message(storage: ChatStorage) -> None:
    storage.message(ZTEXT="see you", ZSTANZAID="3A26", ZMESSAGEDATE=704735807.25, ZSTARRED=1,
                    ZMESSAGESTATUS=8)  # fmt: skip

    (message,) = read(storage)

    assert message == Message(
        1, "3A26", 1, datetime(2023, 5, 2, 15, 56, 47, 250000, tzinfo=UTC), False, ADA, "text", 0,
        "see you", None, None, True, 8, None, None, None, None, None, None, [], [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "sender"),
    [
        ({}, ADA),
        ({"ZISFROMME": 1}, None),
        ({"ZFROMJID": None}, ADA),
        ({"ZFROMJID": "15550100001:12@s.whatsapp.net"}, ADA),
        ({"ZCHATSESSION": 2, "ZFROMJID": GROUP, "ZGROUPMEMBER": 2}, LID),
        ({"ZCHATSESSION": 2, "ZFROMJID": GROUP, "ZGROUPMEMBER": 99}, None),
        ({"ZCHATSESSION": 2, "ZFROMJID": GROUP}, None),
        ({"ZCHATSESSION": 99, "ZFROMJID": BO}, BO),
        ({"ZCHATSESSION": None, "ZFROMJID": b"\0"}, None),
    ],
)
def test_the_sender(storage: ChatStorage, columns: dict[str, Any], sender: str | None) -> None:
    storage.message(**columns)

    assert read(storage)[0].sender_jid == sender


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        (0, "text"), (1, "image"), (2, "video"), (3, "audio"), (4, "contact"), (5, "location"),
        (6, "group_event"), (7, "link"), (8, "document"), (10, "service"), (11, "gif"),
        (14, "deleted"), (15, "sticker"), (38, "view_once"), (46, "poll"), (59, "call"),
        (777, "other"),
    ],
)  # fmt: skip
def test_kinds(storage: ChatStorage, type_: int, kind: str) -> None:
    storage.message(ZMESSAGETYPE=type_)

    (message,) = read(storage)

    assert (message.kind, message.raw_type) == (kind, type_)
    assert (message.event is not None) == (kind in {"group_event", "service"})


def test_group_events_name_somebody_or_a_subject(storage: ChatStorage) -> None:
    storage.message(ZMESSAGETYPE=6, ZGROUPEVENTTYPE=3, ZTEXT=BO)
    storage.message(ZMESSAGETYPE=6, ZGROUPEVENTTYPE=1, ZTEXT="Boat trip")
    storage.message(ZMESSAGETYPE=0, ZGROUPEVENTTYPE=2, ZTEXT="not an event")

    assert [message.event for message in read(storage)] == [
        GroupEvent(3, BO, None),
        GroupEvent(1, None, "Boat trip"),
        None,
    ]


def test_a_picture_has_pixels_where_a_place_has_degrees(storage: ChatStorage) -> None:
    storage.with_media(
        1, ZMEDIALOCALPATH="Media/a/b.jpg", ZVCARDSTRING="image/jpeg", ZVCARDNAME="aGFzaA==",
        ZTITLE="the boat", ZFILESIZE=42073, ZLATITUDE=45.0, ZLONGITUDE=60.0,
    )  # fmt: skip
    storage.with_media(5, ZLATITUDE=35.5, ZLONGITUDE=-78.75, ZTITLE="Pier")
    storage.with_media(5, ZLATITUDE=452.0, ZLONGITUDE=603.0)

    picture, place, nowhere = read(storage)

    assert picture.attachments == [
        Attachment("b.jpg", "image/jpeg", 42073, None, "the boat",
                   file_id(DOMAIN, "Message/Media/a/b.jpg"), None)
    ]  # fmt: skip
    assert (picture.latitude, picture.longitude, picture.contact) == (None, None, None)
    assert (place.latitude, place.longitude, place.place) == (35.5, -78.75, "Pier")
    assert place.attachments == []
    assert (nowhere.latitude, nowhere.longitude) == (None, None)


def test_files_are_looked_for_where_backups_keep_them(storage: ChatStorage, tmp_path: Path) -> None:
    storage.with_media(3, ZMEDIALOCALPATH="/Media/v.opus", ZVCARDSTRING="audio/ogg; codecs=opus",
                       ZMOVIEDURATION=12)  # fmt: skip
    storage.with_media(8, ZMEDIALOCALPATH="Media/x.pdf", ZTITLE="Invoice.pdf")
    storage.with_media(2, ZVCARDSTRING="video/mp4", ZFILESIZE=0)
    name = file_id(BUSINESS, "Message/Media/v.opus")
    (tmp_path / name[:2]).mkdir()
    (tmp_path / name[:2] / name).touch()

    found = [one.attachments[0] for one in read(storage, folder=tmp_path, business=True)]

    assert found == [
        Attachment("v.opus", "audio/ogg", None, 12, None, name, True),
        Attachment("Invoice.pdf", "application/pdf", None, None, None,
                   file_id(BUSINESS, "Message/Media/x.pdf"), False),
        Attachment(None, "video/mp4", None, None, None, None, False),
    ]  # fmt: skip


def test_a_contact_card_is_no_file(storage: ChatStorage) -> None:
    storage.with_media(4, ZVCARDNAME="Bo", ZVCARDSTRING="BEGIN:VCARD\nFN:Bo\nEND:VCARD")

    (message,) = read(storage)

    assert message.contact == ContactCard("Bo", "BEGIN:VCARD\nFN:Bo\nEND:VCARD")
    assert message.attachments == []


def test_a_reply_knows_what_it_quotes(storage: ChatStorage) -> None:
    storage.with_media(0, ZMETADATA=quoting("3A26649A0A496377CB01", "the whole id", forwards=5))
    storage.with_media(0, ZMETADATA=b"\x2a\xff")

    reply, damaged = read(storage)

    assert (reply.reply_to_stanza_id, reply.quoted_text) == ("3A26649A0A496377CB01", "the whole id")
    assert (reply.forwards, reply.attachments) == (5, [])
    assert (damaged.reply_to_stanza_id, damaged.forwards) == (None, None)


@pytest.mark.parametrize(
    ("receipts", "reactions"),
    [
        (reacting(own=("👍", NOON_MS)), [Reaction("👍", None, True, NOON)]),
        (
            reacting(("❤️", LID, NOON_MS), ("😂", BO, 0), own=("👍", NOON_MS)),
            [
                Reaction("❤️", LID, False, NOON),
                Reaction("😂", BO, False, None),
                Reaction("👍", None, True, NOON),
            ],
        ),
        (reacting(("", BO, NOON_MS)), []),
        (reacting(("👍", "nobody", 2**63)), [Reaction("👍", None, False, None)]),
        (reacting(("👍", BO, NOON_MS))[:-3], []),
        (b"\x12\x03:::", []),
        (b"\x3a" * 2**20 + b"\x3a", []),
        ("text", []),
        (None, []),
    ],
)
def test_reactions(storage: ChatStorage, receipts: object, reactions: list[Reaction]) -> None:
    storage.message(ZMESSAGEINFO=storage.add("ZWAMESSAGEINFO", ZRECEIPTINFO=receipts))

    assert read(storage)[0].reactions == reactions


@pytest.mark.parametrize("date", [None, 0, -63114076800, 1e300, "soon", -978307200])
def test_silly_dates_are_none(storage: ChatStorage, date: object) -> None:
    storage.message(ZMESSAGEDATE=date)

    assert read(storage)[0].sent_at is None


def test_chats(storage: ChatStorage) -> None:
    storage.db.execute("UPDATE ZWACHATSESSION SET ZARCHIVED = 1, ZUNREADCOUNT = 3 WHERE id = 1")
    for chat, date in ((1, 700000000), (1, 690000000), (2, -63114076800), (9, 710000000)):
        storage.message(ZCHATSESSION=chat, ZMESSAGEDATE=date)

    direct, group = heads(storage)["chats"]

    assert direct == Chat(
        1, ADA, "direct", "Ada L", [Participant(ADA, False, True)], True, False, False, 3, 2,
        datetime(2023, 3, 8, 20, 26, 40, tzinfo=UTC), None, None,
    )  # fmt: skip
    assert group == Chat(
        2, GROUP, "group", "Lake", [Participant(ADA, True, True), Participant(LID, False, True)],
        False, False, False, 0, 1, None, datetime(2022, 3, 26, 17, 44, 6, tzinfo=UTC), ADA,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("jid", "type_", "kind"),
    [
        ("status@broadcast", 3, "status"),
        ("123@broadcast", 2, "broadcast"),
        ("123@newsletter", 0, "channel"),
        ("123@g.us", 4, "community"),
        ("123@g.us", None, "group"),
        (LID, 0, "direct"),
        (ADA, 77, "direct"),
        ("what", None, "other"),
        (None, None, "other"),
    ],
)
def test_kinds_of_chats(
    storage: ChatStorage, jid: str | None, type_: int | None, kind: str
) -> None:
    storage.add("ZWACHATSESSION", ZCONTACTJID=jid, ZSESSIONTYPE=type_)

    assert heads(storage)["chats"][-1].kind == kind


def test_the_best_name_wins(storage: ChatStorage, tmp_path: Path) -> None:
    contacts = Tables(
        tmp_path / "contacts", {"ZWAADDRESSBOOKCONTACT": "ZWHATSAPPID, ZFULLNAME, ZLID"}
    )
    contacts.add("ZWAADDRESSBOOKCONTACT", ZWHATSAPPID=ADA, ZFULLNAME="Ada Lovelace")
    contacts.db.close()
    lids = Tables(tmp_path / "lids", {"ZWAPHONENUMBERLIDPAIR": "ZLID, ZPHONENUMBER"})
    lids.add("ZWAPHONENUMBERLIDPAIR", ZLID=LID, ZPHONENUMBER="15550100009")
    lids.add("ZWAPHONENUMBERLIDPAIR", ZLID="77", ZPHONENUMBER="+15550100001")
    lids.db.close()
    storage.add("ZWAPROFILEPUSHNAME", ZJID=BO, ZPUSHNAME="Bo")
    storage.add("ZWAPROFILEPUSHNAME", ZJID=ADA, ZPUSHNAME="countess")
    storage.add("ZWACHATSESSION", ZCONTACTJID=BO, ZPARTNERNAME="+1 555-010 0002", ZSESSIONTYPE=0)

    alone = heads(storage)["people"]
    extra = {
        "whatsapp_contacts": {"database": str(contacts.path)},
        "whatsapp_lid": {"database": str(lids.path)},
    }
    head, *_ = read_whatsapp({"database": str(storage.path), "extra": extra})

    assert set(alone) == {
        Person(ADA, "+15550100001", "Ada L"),
        Person(BO, "+15550100002", "~Bo"),
        Person(LID, None, "Carl"),
    }
    assert set(head[1]["people"]) == {
        Person(ADA, "+15550100001", "Ada Lovelace"),
        Person(BO, "+15550100002", "~Bo"),
        Person(LID, "+15550100009", "Carl"),
        Person("77@lid", "+15550100001", "Ada Lovelace"),
    }


def test_a_chat_may_know_the_number_of_its_lid(storage: ChatStorage) -> None:
    storage.add("ZWACHATSESSION", ZCONTACTJID="88@lid", ZCONTACTIDENTIFIER=BO, ZPARTNERNAME="Bo B")

    assert Person("88@lid", "+15550100002", "Bo B") in heads(storage)["people"]


def test_another_database_is_refused(tmp_path: Path) -> None:
    other = Tables(tmp_path / "other", {"message": "text"})
    other.db.close()

    with Source(other.path) as source, pytest.raises(UnsupportedSchema, match="ZWAMESSAGE"):
        WhatsApp(source)


def heads(storage: ChatStorage) -> dict[str, list[Any]]:
    with Source(storage.path) as source:
        return WhatsApp(source).heads


def read(storage: ChatStorage, **options: Any) -> list[Message]:
    with Source(storage.path) as source:
        return [one for batch in WhatsApp(source, **options).batches() for one in batch.records]
