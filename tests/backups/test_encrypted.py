"""Encrypted backups: read with their password, which nobody else ever sees."""

import asyncio
import plistlib
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, text

from app.backups import store
from app.backups.keybag import Keys
from app.backups.manifest import BackupFolder
from app.backups.parsers.errors import Corrupt, WrongPassword
from app.jobs.models import BackgroundJob, JobEvent, JobSecret
from tests.backups.conftest import Sample
from tests.backups.house import Gate, add_message, counts_of, outcomes, sms
from tests.backups.locking import Lock, locked_copy
from tests.backups.site import Site

PASSWORD = "pässword 鍵"


async def post(site: Site, client: httpx.AsyncClient, path: Path, **more: Any) -> dict[str, Any]:
    answer = await client.post("/backups", json={"path": str(path), **more})
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def secrets_in(site: Site) -> int:
    async with site.house.resources.db.reading() as session:
        return len((await session.execute(select(JobSecret.job_id))).all())


def locked(site: Site, where: str = "ada/phone") -> Path:
    return locked_copy(site.house.sample, site.house.root / where, PASSWORD)


async def test_everything_is_read_with_the_password(site: Site) -> None:
    ada = await site.user("ada")
    posted = await post(site, ada, locked(site), password=PASSWORD)
    assert await secrets_in(site) == 1
    sealed = await everything_stored(site)

    await site.house.jobs.run_all()

    backup = (await ada.get(f"/backups/{posted['backup_id']}")).json()
    job = await site.house.jobs.row(posted["job_id"])
    assert (backup["status"], backup["warnings"]) == ("INDEXED", [])
    assert job.result is not None
    assert job.result["domains"] == outcomes("indexed")
    counts = counts_of(site.truth)
    assert {name: backup["counts"][name] for name in counts} == counts
    assert await secrets_in(site) == 0
    for stored in (sealed, await everything_stored(site)):
        assert PASSWORD not in stored
    assert not list((site.house.resources.settings.data_dir / "scratch").iterdir())


async def everything_stored(site: Site) -> str:
    async with site.house.resources.db.reading() as session:
        rows = [*await session.execute(select(BackgroundJob.__table__))]
        rows += [*await session.execute(select(JobEvent.__table__))]
        rows += [*await session.execute(select(JobSecret.__table__))]
        rows += [*await session.execute(text("SELECT * FROM backups"))]
    return repr([tuple(row) for row in rows])


async def test_an_unchanged_encrypted_backup_is_skipped(site: Site) -> None:
    ada = await site.user("ada")
    posted = await post(site, ada, locked(site), password=PASSWORD)
    await site.house.jobs.run_all()

    again = await ada.post(f"/backups/{posted['backup_id']}/index", json={"password": PASSWORD})
    await site.house.jobs.run_all()

    job = await site.house.jobs.row(again.json()["job_id"])
    assert job.result is not None
    assert job.result["domains"] == outcomes("unchanged")


@pytest.mark.parametrize(("password", "code"), [(None, "encrypted"), ("guess", "wrong_password")])
async def test_without_it_the_job_ends_with_a_word(
    site: Site, password: str | None, code: str
) -> None:
    ada = await site.user("ada")
    posted = await post(site, ada, locked(site), password=password)

    await site.house.jobs.run_all()

    job = await site.house.jobs.row(posted["job_id"])
    assert (job.status, job.error_type, job.attempt) == ("failed", code, 1)
    backup = (await ada.get(f"/backups/{posted['backup_id']}")).json()
    assert (backup["status"], [one["code"] for one in backup["warnings"]]) == ("FAILED", [code])
    assert await secrets_in(site) == 0
    retried = await ada.post(f"/jobs/{posted['job_id']}/retry")
    assert (retried.status_code, retried.json()["code"]) == (409, "password_required")
    again = await ada.post(f"/backups/{posted['backup_id']}/index", json={"password": PASSWORD})
    await site.house.jobs.run_all()
    assert (await site.house.jobs.row(again.json()["job_id"])).status == "completed"


async def test_a_wrong_password_later_leaves_the_warnings_of_what_is_live(site: Site) -> None:
    ada = await site.user("ada")
    posted = await post(site, ada, locked(site), password=PASSWORD)
    await site.house.jobs.run_all()
    url = f"/backups/{posted['backup_id']}"
    live = [
        {"code": "damaged", "artifact": "notes", "detail": "salvaged 3 of 4 notes"},
        {"code": "interrupted_backup", "artifact": None, "detail": "not finished"},
    ]
    async with site.house.resources.db.transaction() as session:
        await store.describe(session, UUID(posted["backup_id"]), {"warnings": live})

    for code, body in (("wrong_password", {"password": "guess"}), ("encrypted", {})) * 2:
        assert (await ada.post(f"{url}/index", json=body)).status_code == 202
        await site.house.jobs.run_all()

        told = (await ada.get(url)).json()["warnings"]
        assert [one["code"] for one in told] == ["damaged", "interrupted_backup", code]


async def test_a_job_that_is_cancelled_before_it_runs_takes_the_password_with_it(
    site: Site,
) -> None:
    ada = await site.user("ada")
    posted = await post(site, ada, locked(site), password=PASSWORD)

    await ada.post(f"/jobs/{posted['job_id']}/cancel")

    assert await secrets_in(site) == 0
    retried = await ada.post(f"/jobs/{posted['job_id']}/retry")
    assert (retried.status_code, retried.json()["code"]) == (409, "password_required")


async def test_a_job_that_is_cancelled_at_work_takes_it_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await site.user("ada")
    gate = Gate(monkeypatch, before=1)
    posted = await post(site, ada, locked(site), password=PASSWORD)
    async with site.house.jobs.on_shift() as worker:
        await worker.claim()
        await asyncio.wait_for(gate.reached.wait(), 20)
        (room,) = [p for p in scratch(site).iterdir() if p.is_dir()]
        assert {path.name for path in room.iterdir()} >= {"Manifest.db", "messages", "notes"}
        assert room.stat().st_mode & 0o77 == 0
        assert await secrets_in(site) == 1
        await ada.post(f"/jobs/{posted['job_id']}/cancel")
        async with asyncio.timeout(5):
            while (await site.house.jobs.row(posted["job_id"])).status == "running":
                await asyncio.sleep(0.02)
    assert await secrets_in(site) == 0
    assert list(scratch(site).iterdir()) == []


async def test_an_attempt_that_is_tried_again_still_has_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await site.user("ada")
    gate = Gate(monkeypatch, before=1)
    posted = await post(site, ada, locked(site), password=PASSWORD)
    async with site.house.jobs.on_shift() as worker:
        await worker.claim()
        await asyncio.wait_for(gate.reached.wait(), 20)
    assert (await site.house.jobs.row(posted["job_id"])).status == "queued"  # released
    assert await secrets_in(site) == 1
    gate.opened.set()

    row = await site.house.run_when_due(posted["job_id"])

    assert row.status == "completed"
    assert await secrets_in(site) == 0


def scratch(site: Site) -> Path:
    return site.house.resources.settings.data_dir / "scratch"


async def test_keys_that_make_no_sense_are_damage(site: Site) -> None:
    ada = await site.user("ada")
    folder = locked(site)
    plist = plistlib.loads((folder / "Manifest.plist").read_bytes())
    for change in ({"BackupKeyBag": b"x" * 300}, {"BackupKeyBag": 7}, {"ManifestKey": b"short"}):
        (folder / "Manifest.plist").write_bytes(plistlib.dumps({**plist, **change}))
        posted = await post(site, ada, folder, password=PASSWORD)
        await site.house.jobs.run_all()

        job = await site.house.jobs.row(posted["job_id"])
        assert (job.status, job.error_type, job.attempt) == ("failed", "damaged", 1)


def test_keys_are_derived_as_the_phone_does() -> None:
    bag = Lock(PASSWORD).bag

    Keys(bag, PASSWORD)
    with pytest.raises(WrongPassword):
        Keys(bag, PASSWORD + " ")
    many = bag.replace(b"ITER\0\0\0\4\0\0\0\x64", b"ITER\0\0\0\4\x7f\xff\xff\xff")
    with pytest.raises(Corrupt):
        Keys(many, PASSWORD)


def test_only_what_is_wanted_is_decrypted(sample: Sample, tmp_path: Path) -> None:
    folder, room = locked_copy(sample[0], tmp_path / "phone", PASSWORD), tmp_path / "room"
    room.mkdir(mode=0o700)
    backup = BackupFolder(folder)
    backup.unlock(PASSWORD, room)

    clear = backup.clear(backup.artifact("messages"))

    assert clear.path.read_bytes() == sms(sample[0]).read_bytes()
    assert sorted(path.name for path in room.iterdir()) == ["Manifest.db", "messages"]
    assert all(path.stat().st_mode & 0o77 == 0 for path in room.iterdir())


async def test_a_new_message_of_an_encrypted_backup_is_found(site: Site) -> None:
    ada = await site.user("ada")
    plain = site.house.put("ada/plain")
    add_message(plain, "zeppelin")
    folder = locked_copy(plain, site.house.root / "ada/locked", PASSWORD)
    await post(site, ada, folder, password=PASSWORD)
    await site.house.jobs.run_all()

    found = (await ada.get("/search", params={"q": "zeppelin"})).json()

    assert found["total"] == 1
