"""A WhatsApp that nobody here wrote: ../shared/data/ios beside the repository, if it is there."""

import json
from typing import Any

import pytest

from app.backups.parsers.apple_time import EPOCH
from app.backups.parsers.source import Source
from app.backups.parsers.whatsapp import WhatsApp
from app.backups.parsers.whatsapp_records import Message
from app.backups.reading_artifacts import read_whatsapp
from tests.real.phones import EXPECTED, IOS, contents, fixture, from_schema

PHONE = "josh_ios15_ffs"
OWNER = "19195794674@s.whatsapp.net"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not IOS.is_dir(), reason=f"no real data at {IOS}"),
]


@pytest.fixture(scope="module")
def frames() -> list[Any]:
    """All of it; the files must be the same afterwards, and nothing new beside them."""
    storage = fixture("whatsApp.whatsAppMessages", PHONE, "ChatStorage.sqlite")
    contacts = fixture("whatsApp.whatsAppContacts", PHONE, "ContactsV2.sqlite")
    before = contents(storage.parent), contents(contacts.parent)
    extra = {"whatsapp_contacts": {"database": str(contacts)}}
    found = list(read_whatsapp({"database": str(storage), "extra": extra, "batch": 7}))
    assert (contents(storage.parent), contents(contacts.parent)) == before
    assert found[-1][1]["warnings"] == []
    return found


@pytest.fixture(scope="module")
def messages(frames: list[Any]) -> list[Message]:
    return [one for frame in frames[1:-1] for one in frame[1]]


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    found = json.loads((IOS / "GROUND_TRUTH.json").read_bytes())["whatsapp"]
    known: dict[str, Any] = found[f"iLEAPP/whatsApp.whatsAppMessages.{PHONE}"]
    return known


def test_every_message_is_what_is_known_of_it(
    messages: list[Message], truth: dict[str, Any]
) -> None:
    assert [one.id for one in messages] == [one["pk"] for one in truth["messages"]]
    for message, known in zip(messages, truth["messages"], strict=True):
        assert message.stanza_id == known["stanza"]
        assert message.chat_id == known["chat"]
        assert message.is_from_me == bool(known["from_me"])
        assert (message.raw_type, message.text) == (known["type"], known["text"])
        assert message.sent_at is not None
        assert (message.sent_at - EPOCH).total_seconds() == pytest.approx(known["mac"], abs=1e-5)
        if message.event is not None:
            assert message.event.code == known["group_event"]
    assert [one.id for one in messages if one.kind == "location"] == truth["locations"]
    located = {one.id: (one.latitude, one.longitude) for one in messages if one.latitude}
    assert located == {
        one["message"]: (one["lat"], one["lon"])
        for one in truth["media"]
        if one["message"] in truth["locations"]
    }


def test_every_medium_reply_and_reaction(messages: list[Message], truth: dict[str, Any]) -> None:
    files = {one.id: one.attachments[0] for one in messages if one.attachments}
    known = {one["message"]: one for one in truth["media"] if one["path"]}

    assert {pk: (one.mime_type, one.size_bytes) for pk, one in files.items()} == {
        pk: (one["mime"], one["size"]) for pk, one in known.items()
    }
    assert {one.id: one.reply_to_stanza_id for one in messages if one.reply_to_stanza_id} == {
        truth["reply"]["message"]: truth["reply"]["quotes_stanza"]
    }
    ((message, (reaction,)),) = ((one.id, one.reactions) for one in messages if one.reactions)
    assert (message, reaction.emoji) == (truth["reaction"]["message"], truth["reaction"]["emoji"])
    assert (reaction.is_from_me, reaction.sender_jid) == (True, None)
    assert reaction.at is not None
    assert round(reaction.at.timestamp() * 1000) == truth["reaction"]["ms"]


def test_chats_and_people(frames: list[Any], truth: dict[str, Any]) -> None:
    head = frames[0][1]

    assert [(one.id, one.jid, one.title) for one in head["chats"]] == [
        (one["pk"], one["jid"], one["name"]) for one in truth["chats"]
    ]
    assert [one.kind for one in head["chats"]] == ["group"] * 4 + ["direct"]
    members = sum(len(one.participants) for one in head["chats"] if one.kind == "group")
    assert members == truth["group_members"]
    names = {one.jid: one.name for one in head["people"]}
    assert names["19198887386@s.whatsapp.net"] == "This Is DFIR Two"
    assert names["19193912507@s.whatsapp.net"] == "Josh Hickman"
    (path,) = EXPECTED.glob(f"whatsApp.whatsAppContacts.{PHONE}.*.json")
    for name, *_, jid, _ in json.loads(path.read_bytes())["data"]:
        assert jid is None or names[jid] == name


def test_messages_equal_those_of_ileapp(frames: list[Any], messages: list[Message]) -> None:
    (path,) = EXPECTED.glob(f"whatsApp.whatsAppMessages.{PHONE}.*.json")
    report = json.loads(path.read_bytes())
    chats = {one.id: one for one in frames[0][1]["chats"]}

    assert len(messages) == len(report["data"])
    for message, row in zip(messages, report["data"], strict=True):
        known = dict(zip(report["headers"], row, strict=True))
        chat = chats[message.chat_id]
        assert message.sent_at is not None
        assert int(message.sent_at.timestamp()) == known["Timestamp"]
        partner = known["Receiver" if message.is_from_me else "Sender Name"]
        assert (chat.title, message.text) == (partner, known["Message"])
        file = message.attachments[0].filename if message.attachments else None
        assert (f"mock_hash_for_{file}" if file else "") == (known["Attachment File"] or "")
        assert (message.latitude or "", message.longitude or "") == (
            known["Latitude"],
            known["Longitude"],
        )


def test_the_real_schema_without_rows_is_read(tmp_path: Any) -> None:
    with Source(from_schema(tmp_path, "schemas_exact/wa_ios15.sql")) as source:
        whatsapp = WhatsApp(source)

        assert (whatsapp.total, list(whatsapp.batches())) == (0, [])
        assert whatsapp.heads == {"chats": [], "people": []}
