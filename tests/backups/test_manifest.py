import plistlib
import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.backups.manifest import (
    LOGICAL_FILES,
    BackupFolder,
    compute_file_id,
    mapped_artifact,
)
from app.backups.parsers.errors import (
    Corrupt,
    Encrypted,
    ListedButMissing,
    NotInBackup,
    SourceError,
    TooOld,
)
from tests.backups.sample import make_backup

SMS = "3d/3d0d7e5fb2ce288813306e4d4636395e047a3d28"
SMS_WAL = "cd/cd47480f213dba9bc38ee792775d17e3f5a73a59"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "backup"
    make_backup(path, messages=20)
    return path


@pytest.mark.parametrize(
    ("name", "file_id"),
    [
        ("messages", "3d0d7e5fb2ce288813306e4d4636395e047a3d28"),
        ("contacts", "31bb7ba8914766d4ba40d6dfb6113c8b614be442"),
        ("contact_images", "cd6702cea29fe89cf280a76794405adb17f9a0ee"),
        ("calendar", "2041457d5fe04d39d0ab481178355df6781e6858"),
        ("photos", "12b144c0bd44f2b3dffd9186d3f9c05b917cee25"),
        ("notes", "4f98687d8ab0d6d1a371110e6b7300f6e465bef2"),
        ("notes_legacy", "ca3bc056d4da0bbf88b5fb3be254f3b7147e639c"),
        ("whatsapp", "7c7fba66680ef796b916b067077cc246adacf01d"),
        ("whatsapp_contacts", "b8548dc30aa1030df0ce18ef08b882cf7ab5212f"),
        ("whatsapp_lid", "e794f6ffcc3c222535f47684a63d5178da3c4500"),
        ("whatsapp_business", "724bd3b98b18518b455a87c1f3ac3a0d189c4466"),
    ],
)
def test_file_ids_are_those_of_real_backups(name: str, file_id: str) -> None:
    assert compute_file_id(*LOGICAL_FILES[name]) == file_id


def test_the_device_is_described(folder: Path) -> None:
    backup = BackupFolder(folder)

    assert (backup.device_name, backup.ios_version) == ("Sample iPhone", "18.5")
    assert backup.product_type == "iPhone14,5"
    assert backup.backed_up_at == datetime(2025, 9, 19, 18, 40, tzinfo=UTC)
    assert (backup.encrypted, backup.interrupted, backup.warnings) == (False, False, [])


def test_property_lists_are_optional_and_may_be_damaged(folder: Path) -> None:
    (folder / "Info.plist").unlink()
    (folder / "Status.plist").write_bytes(b"bplist00" + b"\xff" * 99)
    (folder / "Manifest.plist").write_text("<plist><dict><key>a</key>")

    backup = BackupFolder(folder)

    assert (backup.device_name, backup.interrupted, backup.encrypted) == (None, None, False)
    assert backup.artifact("messages").path == folder / SMS


@pytest.mark.parametrize("name", ["messages", "sms.db", "chat.db"])
def test_the_database_is_found_by_its_names(folder: Path, name: str) -> None:
    assert BackupFolder(folder).artifact(name) == ("messages", folder / SMS, None)


def test_the_log_is_found_under_its_own_hash(folder: Path) -> None:
    log = folder / SMS_WAL
    log.parent.mkdir(exist_ok=True)
    log.write_bytes(b"log")
    assert BackupFolder(folder).artifact("messages").wal is None

    listed(
        folder,
        "INSERT INTO Files VALUES (?, 'HomeDomain', 'Library/SMS/sms.db-wal', 1, NULL)",
        log.name,
    )

    assert BackupFolder(folder).artifact("messages").wal == log


def test_a_listed_log_that_is_missing_is_a_warning(folder: Path) -> None:
    file_id = SMS_WAL[3:]
    listed(
        folder,
        "INSERT INTO Files VALUES (?, 'HomeDomain', 'Library/SMS/sms.db-wal', 1, NULL)",
        file_id,
    )
    backup = BackupFolder(folder)

    assert backup.artifact("messages").wal is None
    assert [(one.code, one.artifact) for one in backup.warnings] == [
        ("listed_but_missing", "messages")
    ]


def test_without_a_manifest_the_computed_name_is_used(folder: Path) -> None:
    (folder / "Manifest.db").unlink()

    backup = BackupFolder(folder)

    assert backup.artifact("messages").path == folder / SMS
    with pytest.raises(NotInBackup):
        backup.artifact("whatsapp_business")


def test_a_damaged_manifest_is_done_without(folder: Path) -> None:
    (folder / "Manifest.db").write_bytes(b"SQLite format 3\0" + b"\xee" * 9000)
    backup = BackupFolder(folder)

    assert backup.artifact("messages").path == folder / SMS
    assert [one.code for one in backup.warnings] == ["damaged"]


def test_listed_but_missing(folder: Path) -> None:
    (folder / SMS).unlink()

    assert refusal(folder, ListedButMissing) == "listed_but_missing"


def test_not_in_the_backup(folder: Path) -> None:
    listed(folder, "UPDATE Files SET flags = 2 WHERE fileID = ?", SMS[3:])

    assert refusal(folder, NotInBackup) == "not_in_backup"
    with pytest.raises(NotInBackup):
        BackupFolder(folder).artifact("spreadsheets")


@pytest.mark.parametrize(
    "file_id",
    ["../../../../etc/passwd", "3D0D7E5FB2CE288813306E4D4636395E047A3D28", "3d0d" * 11, "3d"],
)
def test_a_hostile_file_id_opens_nothing(folder: Path, file_id: str) -> None:
    listed(folder, "UPDATE Files SET fileID = ? WHERE relativePath = 'Library/SMS/sms.db'", file_id)

    assert refusal(folder, Corrupt) == "damaged"


def test_links_that_leave_the_folder_are_not_followed(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.db"
    (folder / SMS).rename(outside)
    (folder / SMS).symlink_to(outside)

    assert refusal(folder, ListedButMissing) == "listed_but_missing"


def test_a_linked_room_that_leaves_the_folder_is_not_entered(folder: Path, tmp_path: Path) -> None:
    (folder / "3d").rename(tmp_path / "3d")
    (folder / "3d").symlink_to(tmp_path / "3d")

    assert refusal(folder, ListedButMissing) == "listed_but_missing"


def test_links_in_a_circle_are_no_file(folder: Path) -> None:
    (folder / SMS).unlink()
    (folder / SMS).symlink_to(folder / SMS)

    assert refusal(folder, ListedButMissing) == "listed_but_missing"


def test_encrypted_by_its_own_word(folder: Path) -> None:
    rewrite(folder / "Manifest.plist", IsEncrypted=True)

    assert BackupFolder(folder).encrypted
    assert refusal(folder, Encrypted) == "encrypted"


def test_encrypted_by_the_look_of_the_manifest(folder: Path) -> None:
    (folder / "Manifest.plist").unlink()
    (folder / "Manifest.db").write_bytes(random.Random(1).randbytes(16384))

    assert refusal(folder, Encrypted) == "encrypted"


def test_an_interrupted_backup_is_read_with_a_warning(folder: Path) -> None:
    rewrite(folder / "Status.plist", SnapshotState="uploading")
    backup = BackupFolder(folder)

    assert backup.interrupted
    assert [one.code for one in backup.warnings] == ["interrupted_backup"]
    assert backup.artifact("messages").path == folder / SMS


def test_a_backup_of_ios_9_is_too_old(tmp_path: Path) -> None:
    (tmp_path / "Manifest.mbdb").touch()

    with pytest.raises(TooOld) as error:
        BackupFolder(tmp_path)

    assert error.value.code == "too_old"


def test_no_folder_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(NotInBackup):
        BackupFolder(tmp_path / "nothing")


def test_a_plain_mapping_names_the_databases(folder: Path) -> None:
    files: dict[str, str | Path] = {"chat.db": str(folder / SMS), "notes": folder / "gone"}

    assert mapped_artifact(files, "messages").path == folder / SMS
    with pytest.raises(ListedButMissing):
        mapped_artifact(files, "notes")
    with pytest.raises(NotInBackup):
        mapped_artifact(files, "photos")


def refusal(folder: Path, error: type[SourceError]) -> str:
    with pytest.raises(error) as caught:
        BackupFolder(folder).artifact("messages")
    return caught.value.code


def listed(folder: Path, sql: str, *values: str) -> None:
    with closing(sqlite3.connect(folder / "Manifest.db", isolation_level=None)) as db:
        db.execute(sql, values)


def rewrite(path: Path, **changes: Any) -> None:
    path.write_bytes(plistlib.dumps(plistlib.loads(path.read_bytes()) | changes))
