import plistlib
from pathlib import Path
from typing import Any

import pytest

from app.backups.parsers import artifact
from app.backups.parsers.apple_time import EPOCH, from_apple
from app.backups.parsers.conversations import person_key
from app.backups.parsers.errors import UnsupportedSchema
from app.backups.parsers.message_records import Edit, GroupEvent, LinkPreview
from app.backups.parsers.messages import Messages
from app.backups.parsers.source import Source
from tests.backups.parsers.phone import SECOND, Phone
from tests.backups.parsers.test_typedstream import runs
from tests.backups.sample import attributed_body

ATTACHMENT = "__kIMFileTransferGUIDAttributeName"
FILE = "~/Library/SMS/Attachments/ab/11/F0/IMG_1.HEIC"
FILE_ID = "fe7cfb2fbcc65b4736ce04298ba97cd35bfbca30"


def test_a_plain_message(phone: Phone) -> None:
    phone.add(text="see you", service="iMessage", subject="dinner", error=22)

    message = phone.one()

    assert (message.id, message.guid, message.conversation_id) == (1, "G1", 1)
    assert (message.kind, message.text, message.subject) == ("text", "see you", "dinner")
    assert (message.sender, message.is_from_me, message.service) == (
        "+15550100001",
        False,
        "iMessage",
    )
    assert message.sent_at == from_apple(1 * SECOND)
    assert message.error_code == 22
    assert (message.edits, message.unsent, message.reactions, message.attachments) == (
        [],
        False,
        [],
        [],
    )


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"text": "plain", "attributedbody": attributed_body("body")}, "plain"),
        ({"attributedbody": attributed_body("body")}, "body"),
        ({"text": "", "attributedbody": attributed_body("body")}, "body"),
        ({"text": "\ufffc"}, None),
        ({"text": "\ufffclook"}, "\ufffclook"),
        ({"text": b"not text"}, None),
        ({"attributedbody": "not a blob"}, None),
        ({}, None),
    ],
)
def test_the_text_is_where_it_is(phone: Phone, columns: dict[str, Any], text: str | None) -> None:
    phone.add(**columns)

    assert phone.one().text == text


@pytest.mark.parametrize(
    ("columns", "sender"),
    [
        ({"handle_id": 2}, "bo@example.com"),
        ({"handle_id": 0}, None),
        ({"handle_id": 0, "is_from_me": 1, "account": "E:me@example.com"}, "me@example.com"),
        ({"is_from_me": 1, "account": "e:me@x", "destination_caller_id": "+1555"}, "+1555"),
        ({"is_from_me": 1}, None),
    ],
)
def test_the_sender(phone: Phone, columns: dict[str, Any], sender: str | None) -> None:
    phone.add(text="x", **columns)

    assert phone.one().sender == sender


@pytest.mark.parametrize(
    ("columns", "kind", "event"),
    [
        (
            {"item_type": 1, "other_handle": 2},
            "group_event",
            ("participant_added", "bo@example.com", None),
        ),
        (
            {"item_type": 1, "other_handle": 2, "group_action_type": 1},
            "group_event",
            ("participant_removed", "bo@example.com", None),
        ),
        (
            {"item_type": 1, "other_handle": 1},
            "group_event",
            ("number_changed", "+15550100001", None),
        ),
        ({"item_type": 2, "group_title": "Lake"}, "group_event", ("group_renamed", None, "Lake")),
        ({"item_type": 3, "group_action_type": 0}, "group_event", ("participant_left", None, None)),
        ({"item_type": 3, "group_action_type": 1}, "group_event", ("icon_changed", None, None)),
        ({"item_type": 4, "share_status": 1}, "location_share", ("location_stopped", None, None)),
        ({"item_type": 5}, "audio_kept", ("audio_kept", None, None)),
        ({"item_type": 6}, "shareplay", ("shareplay", None, None)),
        ({"item_type": 9}, "other", ("item_9", None, None)),
    ],
)
def test_group_events(
    phone: Phone, columns: dict[str, Any], kind: str, event: tuple[str, str | None, str | None]
) -> None:
    phone.add(**columns)

    message = phone.one()

    assert message.kind == kind
    assert message.event == GroupEvent(*event)


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({"associated_message_type": 1000, "associated_message_guid": "p:0/G9"}, "sticker"),
        ({"associated_message_type": 4000, "associated_message_guid": "p:0/G9"}, "poll_vote"),
        (
            {"associated_message_type": 2, "balloon_bundle_id": "com.apple:0:com.apple.Fitness"},
            "app",
        ),
        ({"balloon_bundle_id": "com.apple.messages.URLBalloonProvider"}, "link"),
        ({"is_audio_message": 1}, "audio"),
    ],
)
def test_other_kinds(phone: Phone, columns: dict[str, Any], kind: str) -> None:
    phone.add(text="x", **columns)

    assert phone.one().kind == kind


def test_the_latest_reaction_of_each_person_stands(phone: Phone) -> None:
    phone.add(text="something")
    phone.react("p:0/G1", 2000, handle_id=1)
    phone.react("p:0/G1", 2001, handle_id=1)
    phone.react("bp:G1", 2003, handle_id=2)
    phone.react("p:1/G1", 2006, handle_id=2, associated_message_emoji="🔥")
    phone.react("G1", 2004, handle_id=0, is_from_me=1, account="P:+1555")
    phone.react("p:0/G1", 2002, handle_id=2)
    phone.react("p:0/G1", 3002, handle_id=2)

    message = phone.one()

    assert [(one.kind, one.emoji, one.sender, one.is_from_me) for one in message.reactions] == [
        ("like", None, "+15550100001", False),
        ("laugh", None, "bo@example.com", False),
        ("emoji", "🔥", "bo@example.com", False),
        ("emphasise", None, "+1555", True),
    ]
    assert message.reactions[0].at == from_apple(3 * SECOND)


def test_taking_back_what_was_replaced_changes_nothing(phone: Phone) -> None:
    phone.add(text="something")
    phone.react("p:0/G1", 2000)
    phone.react("p:0/G1", 2001)
    phone.react("p:0/G1", 3000)

    assert [one.kind for one in phone.one().reactions] == ["like"]


def test_stickers_add_up_and_are_taken_back_one_by_one(phone: Phone) -> None:
    phone.add(text="something")
    for code in (2007, 2007, 2001, 3007):
        phone.react("p:0/G1", code)

    assert [one.kind for one in phone.one().reactions] == ["sticker", "like"]


def test_a_sticker_in_row_zero_is_no_other_reaction(phone: Phone) -> None:
    phone.add(text="something")
    phone.react("p:0/G1", 2007, ROWID=0)
    phone.react("p:0/G1", 2000)
    phone.react("p:0/G1", 3007)

    assert [one.kind for one in phone.one().reactions] == ["love"]


def test_reactions_to_nothing_are_counted_and_not_shown(phone: Phone) -> None:
    phone.add(text="something")
    phone.react("p:0/GONE", 2000)
    phone.react("", 2000)

    with Source(phone.path) as source:
        messages = Messages(source)
        found = [one for batch in messages.batches() for one in batch.columns.records()]

    assert [one.text for one in found] == ["something"]
    assert (messages.reactions.rows, messages.reactions.orphans) == (2, 2)


def test_edits_are_kept_with_their_times(phone: Phone) -> None:
    wordings = [
        {"d": 90.0, "t": attributed_body("first")},
        {"d": 95.5, "t": attributed_body("last")},
    ]
    summary = binary({"otr": {"0": {}}, "ec": {"0": wordings}})
    phone.add(
        attributedbody=attributed_body("last"),
        date_edited=96 * SECOND,
        message_summary_info=summary,
    )

    message = phone.one()

    assert message.text == "last"
    assert message.edits == [Edit("first", from_apple(90.0)), Edit("last", from_apple(95.5))]
    assert message.edited_at == from_apple(96 * SECOND)
    assert not message.unsent


def test_the_last_wording_stands_in_for_a_missing_text(phone: Phone) -> None:
    parts = {str(part): [{"d": 9.0, "t": attributed_body(f"part {part}. ")}] for part in (10, 9)}
    phone.add(date_edited=96 * SECOND, message_summary_info=binary({"ec": parts}))

    assert phone.one().text == "part 9. part 10. "


@pytest.mark.parametrize(
    ("summary", "unsent"),
    [
        ({"otr": {"0": {}}, "rp": [0]}, True),
        ({"otr": {"0": {}, "1": {}}, "rp": [1]}, False),
        ({"otr": {"0": {}, "1": {}}, "rp": [0, 1]}, True),
        ({"otr": {"0": {}}}, False),
    ],
)
def test_unsent_means_that_every_part_is_gone(
    phone: Phone, summary: dict[str, Any], unsent: bool
) -> None:
    phone.add(text="kept?", date_edited=5 * SECOND, message_summary_info=binary(summary))

    message = phone.one()

    assert (message.unsent, message.text) == (unsent, None if unsent else "kept?")
    assert message.edited_at == (None if unsent else from_apple(5 * SECOND))


@pytest.mark.parametrize(
    "blob", [b"", b"bplist00", b"bplist00" + b"\xff" * 60, b"not a plist", "text", 5]
)
def test_a_damaged_summary_tells_nothing(phone: Phone, blob: object) -> None:
    phone.add(text="x", date_edited=5 * SECOND, message_summary_info=blob)

    message = phone.one()

    assert (message.text, message.edits, message.unsent) == ("x", [], False)


def test_a_summary_that_unfolds_without_end_tells_nothing(phone: Phone) -> None:
    part: list[Any] = []
    for _ in range(12):
        part = [part] * 10  # shared in the file, and a trillion if written out
    phone.add(text="x", date_edited=5 * SECOND, message_summary_info=binary({"rp": [part]}))

    assert phone.one().text == "x"


def test_replies_and_effects(phone: Phone) -> None:
    confetti = "com.apple.messages.effect.CKConfettiEffect"
    phone.add(text="x", thread_originator_guid="G0", expressive_send_style_id=confetti)
    phone.add(text="y", thread_originator_guid="p:0/G0", expressive_send_style_id="com.new")

    assert [(one.reply_to_guid, one.effect) for one in phone.read()] == [
        ("G0", "confetti"),
        ("G0", "com.new"),
    ]


def test_recently_deleted_messages_keep_their_chat(phone: Phone) -> None:
    rowid = phone.add(text="oops", chats=())
    phone.add(text="nowhere", chats=())
    phone.db.execute(
        "INSERT INTO chat_recoverable_message_join VALUES (1, ?, ?)", (rowid, 99 * SECOND)
    )

    deleted, lost = phone.read()

    assert (deleted.conversation_id, deleted.deleted_at) == (1, from_apple(99 * SECOND))
    assert (lost.conversation_id, lost.deleted_at) == (None, None)


def test_conversations_count_their_messages(phone: Phone) -> None:
    phone.db.execute(
        "INSERT INTO chat VALUES (2, 'SMS;-;+1 (555) 010-0001', 45, '+1 (555) 010-0001', 'SMS', '')"
    )
    for chats in ((1,), (2,), (1, 2), (7,)):
        phone.add(text="x", chats=chats)
    phone.react("p:0/G1", 2000)
    phone.db.execute("INSERT INTO chat_message_join VALUES (1, 999)")

    with Source(phone.path) as source:
        messages = Messages(source)
        found = [
            one.conversation_id for batch in messages.batches() for one in batch.columns.records()
        ]

    group, direct = messages.conversations
    assert found == [1, 2, 1, None]
    assert (messages.total, messages.chats.doubles) == (4, 1)
    assert (group.title, group.is_group, group.message_count) == ("Lake", True, 2)
    assert group.participants == ["+15550100001", "bo@example.com"]
    assert group.last_message_at == from_apple(3 * SECOND)
    assert (direct.title, direct.is_group, direct.message_count) == (None, False, 1)
    assert direct.participants == ["+1 (555) 010-0001"]
    assert direct.person_key == person_key("+15550100001")


def test_attachments_say_what_and_where_they_are(phone: Phone) -> None:
    message = phone.add(text="\ufffc")
    phone.attach(
        message,
        guid="A",
        filename=FILE,
        mime_type="image/heic",
        transfer_name="Lake.HEIC",
        total_bytes=7,
    )
    phone.attach(
        message, guid="B", filename="/var/mobile/Library/SMS/x/v.mov", is_sticker=1, total_bytes=-1
    )
    phone.attach(message, guid="C", filename="~/Library/Messages/Attachments/a.amr")
    phone.attach(message, guid="D", filename=FILE, hide_attachment=1)
    phone.attach(message, guid="E", uti="public.jpeg")

    lake, video, mac, bare = phone.one().attachments

    assert (lake.filename, lake.mime_type, lake.size_bytes) == ("Lake.HEIC", "image/heic", 7)
    assert (lake.file_id, lake.file_present, lake.is_sticker) == (FILE_ID, None, False)
    assert (video.filename, video.mime_type, video.size_bytes) == ("v.mov", "video/quicktime", None)
    assert video.is_sticker
    assert video.file_id is not None
    assert (mac.file_id, mac.mime_type) == (None, "audio/amr")
    assert (bare.filename, bare.mime_type) == (None, "image/jpeg")


def test_files_that_are_hidden_or_gone_make_no_attachment_of_a_message(phone: Phone) -> None:
    hidden, dangling = phone.add(text="a"), phone.add(text="b")
    phone.attach(hidden, guid="A", filename=FILE, hide_attachment=1)
    phone.db.execute(
        "INSERT INTO message_attachment_join (message_id, attachment_id) VALUES (?, 99)",
        (dangling,),
    )

    assert [(one.kind, one.attachments) for one in phone.read()] == [("text", [])] * 2


def test_a_look_into_the_folder_tells_which_files_are_there(phone: Phone, tmp_path: Path) -> None:
    message = phone.add(text="\ufffc")
    phone.attach(message, guid="A", filename=FILE)
    phone.attach(message, guid="B", filename=FILE + "2")
    room = tmp_path / FILE_ID[:2]
    room.mkdir()
    (room / FILE_ID).touch()

    with Source(phone.path) as source:
        (batch,) = Messages(source, tmp_path).batches()

    assert [one.file_present for one in batch.columns.records()[0].attachments] == [True, False]
    assert batch.columns.records()[0].kind == "attachment"


def test_attachments_come_in_the_order_of_the_parts(phone: Phone) -> None:
    body = runs("\ufffc\ufffc", [(1, {ATTACHMENT: "SECOND"}), (1, {ATTACHMENT: "FIRST"})])
    message = phone.add(attributedbody=body)
    phone.attach(message, guid="UNNAMED")
    phone.attach(message, guid="FIRST")
    phone.attach(message, guid="SECOND")

    assert [one.guid for one in phone.one().attachments] == ["SECOND", "FIRST", "UNNAMED"]


def test_the_transcription_is_the_text_of_an_audio_message(phone: Phone) -> None:
    body = runs("\ufffc", [(1, {ATTACHMENT: "A", "IMAudioTranscription": "call me back"})])
    phone.add(attributedbody=body, is_audio_message=1)

    assert phone.one().text == "call me back"


def test_a_link_brings_its_preview(phone: Phone) -> None:
    uid = plistlib.UID
    metadata = {"originalURL": uid(2), "title": uid(4), "summary": uid(0)}
    url = {"NS.relative": uid(3)}
    objects = ["$null", metadata, url, "https://example.com/a", "A title"]
    payload = binary({"$archiver": "NSKeyedArchiver", "$objects": objects})
    balloon = "com.apple.messages.URLBalloonProvider"
    phone.add(text="https://example.com/a", balloon_bundle_id=balloon, payload_data=payload)
    phone.add(text="x", balloon_bundle_id=balloon, payload_data=b"damaged")

    first, second = phone.read()

    assert first.link == LinkPreview("https://example.com/a", "A title", None)
    assert second.link is None


def test_times_of_ios_10_are_seconds(phone: Phone) -> None:
    phone.add(text="x", date=469908586)

    sent_at = phone.one().sent_at

    assert sent_at is not None
    assert (sent_at - EPOCH).total_seconds() == 469908586


def test_values_of_the_wrong_type_do_not_hurt(phone: Phone) -> None:
    names = [row[1] for row in phone.db.execute("PRAGMA table_info(message)") if row[1] != "ROWID"]
    for value in (b"\xff\x00", "text", -1, 2.5, 10**17):
        columns: dict[str, Any] = dict.fromkeys(names, value)
        row = phone.add(**columns)
        phone.attach(row, **dict.fromkeys(("guid", "filename", "uti", "total_bytes"), value))
    for table in ("handle", "chat", "chat_message_join", "chat_handle_join"):
        last = [row[1] for row in phone.db.execute(f"PRAGMA table_info({table})")][-2:]
        phone.db.execute(f"INSERT INTO {table} ({', '.join(last)}) VALUES (x'00', 'text')")

    assert len(phone.read()) == 5


@pytest.mark.parametrize("rowid", [-5, -(10**12)])
def test_rowids_that_no_phone_gives_hurt_nobody(phone: Phone, rowid: int) -> None:
    phone.add(text="a")
    phone.db.execute("INSERT INTO message (ROWID, guid, date) VALUES (?, 'ODD', 1)", (rowid,))

    assert phone.one().text == "a"


def test_sparse_rowids_cost_no_memory(phone: Phone) -> None:
    phone.db.execute(
        "INSERT INTO message (ROWID, guid, date) VALUES (9000000000000000000, 'FAR', 1)"
    )
    phone.db.execute("INSERT INTO chat_message_join VALUES (1, 9000000000000000000)")

    assert phone.one().conversation_id == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE message",
        "DROP TABLE chat",
        "DROP TABLE chat_message_join",
        "ALTER TABLE message DROP COLUMN guid",
    ],
)
def test_an_unknown_schema_is_refused(phone: Phone, statement: str) -> None:
    phone.db.execute(statement)

    with pytest.raises(UnsupportedSchema):
        phone.read()


def test_optional_tables_may_be_missing(phone: Phone) -> None:
    phone.add(text="x")
    for table in ("handle", "attachment", "message_attachment_join", "chat_handle_join"):
        phone.db.execute(f"DROP TABLE {table}")

    assert phone.one().sender is None


def binary(content: dict[str, Any]) -> bytes:
    return plistlib.dumps(content, fmt=plistlib.FMT_BINARY)


def test_a_batch_of_long_texts_is_given_in_parts(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "TEXT_AT_ONCE", 25)
    rowids = [phone.add(text="0123456789") for _ in range(7)]

    with Source(phone.path) as source:
        batches = list(Messages(source).batches())

    assert [len(batch.columns.records()) for batch in batches] == [3, 3, 1]
    assert [batch.last_rowid for batch in batches] == [rowids[2], rowids[5], rowids[6]]
