import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.backups.manifest import BackupFolder
from app.backups.parsers.errors import Corrupt, SourceError
from app.backups.parsers.message_records import Conversation, MessageColumns
from app.backups.reading import read_messages
from tests.backups.sample import make_backup

ROWS = 3000


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backup")


@pytest.fixture(scope="module")
def truth(backup: Path) -> dict[str, int]:
    return make_backup(backup, messages=ROWS)


def test_everything_the_sample_holds_is_found(backup: Path, truth: dict[str, int]) -> None:
    head, *frames, end = read(backup, folder=str(backup))

    messages = [message for frame in frames for message in frame[1].records()]
    counts = end[1]["counts"]
    files = [file for message in messages for file in message.attachments]
    assert end[1]["warnings"] == []
    assert head[1]["total"] == len(messages) == truth["messages"]
    assert len(head[1]["conversations"]) == truth["conversations"]
    assert sum(one.message_count for one in head[1]["conversations"]) == truth["messages"]
    assert sum(file.file_present for file in files) == truth["attachments_present"]
    expected = (
        "text_from_body",
        "edited",
        "unsent",
        "replies",
        "effects",
        "group_event",
        "deleted",
    )
    for name in (*expected, "attachments", "reaction_rows", "messages"):
        assert counts[name] == truth[name], name
    assert not any("Loved" in (message.text or "") for message in messages)


def test_a_retry_goes_on_after_any_batch(backup: Path, truth: dict[str, int]) -> None:
    _, *frames, end = read(backup, batch=500)
    whole = [message for frame in frames for message in frame[1].records()]

    for stop in range(len(frames)):
        after = frames[stop][2]
        head, *rest, later_end = read(backup, batch=700, after_rowid=after)

        assert head[1]["total"] == truth["messages"]
        assert [m for frame in rest for m in frame[1].records()] == [
            m for m in whole if m.id > after
        ]
        assert later_end[1]["counts"]["orphan_reactions"] == end[1]["counts"]["orphan_reactions"]
    assert [frame[2] for frame in frames] == list(range(500, ROWS + 1, 500))


def test_frames_survive_messagepack(backup: Path, truth: dict[str, int]) -> None:
    head, first, *_ = read(backup)

    _, columns, *_ = msgspec.msgpack.decode(msgspec.msgpack.encode(first))
    _, description = msgspec.msgpack.decode(msgspec.msgpack.encode(head))

    decoded = msgspec.convert(columns, MessageColumns)
    assert decoded == first[1]
    assert len(decoded.records()) == len(decoded.id)
    conversations = msgspec.convert(description["conversations"], list[Conversation])
    assert conversations == head[1]["conversations"]


def test_a_damaged_database_gives_the_rest_and_says_so(
    backup: Path, truth: dict[str, int], tmp_path: Path
) -> None:
    content = bytearray(BackupFolder(backup).artifact("messages").path.read_bytes())
    chance = random.Random(2)
    pages = len(content) // 4096
    for page in chance.sample(range(pages // 3, pages - 60), 8):
        content[page * 4096 : (page + 1) * 4096] = chance.randbytes(4096)
    damaged = tmp_path / "sms.db"
    damaged.write_bytes(content)

    _, *frames, end = list(read_messages({"database": str(damaged)}))

    rows = [message for frame in frames for message in frame[1].records()]
    assert len(rows) > truth["messages"] * 0.9
    assert frames[-1][3] > 0
    assert {warning["code"] for warning in end[1]["warnings"]} == {"damaged"}
    assert "salvaged" in end[1]["warnings"][0]["detail"]


@pytest.mark.parametrize("seed", range(25))
def test_random_damage_ends_in_frames_or_a_typed_error(
    backup: Path, truth: dict[str, int], tmp_path: Path, seed: int
) -> None:
    content = bytearray(BackupFolder(backup).artifact("messages").path.read_bytes())
    chance = random.Random(seed)
    for _ in range(chance.choice((1, 10, 100))):
        noise = chance.randbytes(chance.choice((1, 16, 4096)))
        at = chance.randrange(100, len(content) - len(noise))
        content[at : at + len(noise)] = noise
    (tmp_path / "sms.db").write_bytes(content)

    try:
        _, *frames, end = list(read_messages({"database": str(tmp_path / "sms.db")}))
    except SourceError:
        return
    rowids = [message.id for frame in frames for message in frame[1].records()]
    assert rowids == sorted(set(rowids))
    assert end[1]["counts"].get("messages", 0) == len(rowids)


def test_a_failure_has_a_code_and_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "sms.db"
    path.write_bytes(b"no database at all")

    with pytest.raises(Corrupt) as refusal:
        list(read_messages({"database": str(path)}))

    assert refusal.value.code == "damaged"
    assert str(refusal.value) == "sms.db is not a SQLite database."


def read(backup: Path, **request: Any) -> list[Any]:
    artifact = BackupFolder(backup).artifact("messages")
    return list(read_messages({"database": str(artifact.path), "wal": None, **request}))
