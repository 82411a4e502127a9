"""Builds over HTTP and through the real worker, on both databases."""

import asyncio
import os
from contextlib import suppress
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from app.jobs.engines.inline import run_all
from app.releases import building
from app.releases.running import take_lock
from app.releases.workspace import still_at_work
from tests.releases.processes import alive_below
from tests.releases.site import Site, open_site, shell
from tests.waiting import until


async def test_a_build_runs_its_recipe_and_keeps_what_it_makes(site: Site) -> None:
    script = (
        "echo building $HEADWAY_REF; mkdir -p dist/js; printf hello > dist/index.html;"
        "printf '#!/bin/sh\\n' > dist/js/run; chmod +x dist/js/run; echo [2/2] linked"
    )
    site.recipes(site=shell(script, ["dist/**", "dist/index.html"], env={"COLOUR": "red"}))

    asked = await site.ask_build(ref="v1.0/rc-1")
    pending = await site.get(f"/builds/{asked['build_id']}")
    await site.jobs.run_all()
    build = await site.get(f"/builds/{asked['build_id']}")

    assert (pending["status"], pending["started_at"]) == ("pending", None)
    assert (build["status"], build["error_code"], build["ref"]) == ("succeeded", None, "v1.0/rc-1")
    assert [(a["path"], a["size_bytes"], a["executable"]) for a in build["artifacts"]] == [
        ("dist/index.html", 5, False),
        ("dist/js/run", 10, True),
    ]
    assert await site.log(build["id"]) == "building v1.0/rc-1\n[2/2] linked\n"
    job = await site.job(build)
    assert (job.status, job.progress_percent, job.processed_items) == ("completed", 100, 2)
    assert (job.priority, job.lane, job.max_attempts) == (20, "build", 1)
    assert job.message == "2 artifacts"
    audit = await site.audit(build["id"])
    assert [line["action"] for line in audit] == ["requested", "started", "succeeded"]
    assert (audit[0]["actor"], audit[0]["worker"]) == ("root", None)
    assert audit[1]["actor"] is None
    assert audit[1]["worker"] == job.worker_id
    assert list((site.data / "builds").iterdir()) == []


FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "status": (shell("echo oh no >&2; exit 2"), "exit_status"),
    "no artifact": (shell("true"), "no_artifacts"),
    "link outside": (shell("ln -s /etc/passwd index.html"), "artifact_outside"),
    "linked folder": (shell("mkdir d; ln -s /etc d/etc", "d"), "artifact_outside"),
    "dangling link": (shell("ln -s nowhere index.html", "*.html"), "artifact_outside"),
    "pipe": (shell("mkfifo index.html"), "artifact_special"),
    "no program": ({"command": ["no-such-program"], "artifacts": "x"}, "not_started"),
    "timeout": (shell("echo begun; sleep 60", timeout=0.6), "timeout"),
    "left processes": (shell("touch index.html; setsid sleep 60 &"), "left_processes"),
    "endless output": (shell("exec yes"), "too_much_output"),
    "endless file": (shell("exec yes > index.html", disk_bytes=5_000_000), "too_large"),
    "no workdir": (shell("true", workdir="/no/such/folder"), "no_workdir"),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # no SQL of its own
@pytest.mark.parametrize("name", FAILURES)
async def test_a_build_that_goes_wrong_says_why(
    site: Site, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, code = FAILURES[name]
    monkeypatch.setattr(building, "OUTPUT_BYTES", 3_000_000)
    site.recipes(site=recipe)

    build = await site.build()

    assert (build["status"], build["error_code"]) == ("failed", code), build["error_message"]
    job = await site.job(build)
    assert (job.status, job.error_type, job.attempt) == ("failed", code, 1)
    assert (await site.actions(build["id"]))[-1] == "failed"
    assert alive_below(site.data) == []
    assert list((site.data / "builds").iterdir()) == []
    if name == "status":
        assert await site.log(build["id"]) == "oh no\n"


async def test_binary_output_is_readable_in_the_end(site: Site) -> None:
    site.recipes(site=shell(r"printf 'a\000\377\033[31mred\033[0m\n'; printf x > index.html"))

    build = await site.build()

    assert build["status"] == "succeeded", build["error_message"]
    assert await site.log(build["id"]) == "a\ufffd\ufffd\x1b[31mred\x1b[0m\n"


async def test_the_log_is_readable_while_the_build_runs_and_progress_is_told(site: Site) -> None:
    site.recipes(
        site=shell(
            "echo headway-progress: 30; while [ ! -e go ]; do sleep 0.05; done;"
            "echo '[9/10] nearly'; touch index.html; while [ ! -e end ]; do sleep 0.05; done"
        )
    )
    asked = await site.ask_build()

    running = asyncio.create_task(site.jobs.run_all())
    await until(lambda: _has(site, asked, "headway-progress: 30\n"))
    job = await site.job(asked)
    build = await site.get(f"/builds/{asked['build_id']}")
    (home,) = (site.data / "builds").glob("*/home")
    (home / "go").touch()
    await until(lambda: _has(site, asked, "headway-progress: 30\n[9/10] nearly\n"))
    counted = await site.job(asked)
    (home / "end").touch()
    await running

    assert (job.progress_percent, job.stage, job.message) == (
        30,
        "building",
        "headway-progress: 30",
    )
    assert build["status"] == "ongoing"
    assert (counted.progress_percent, counted.processed_items, counted.total_items) == (90, 9, 10)
    assert (counted.eta_seconds or 0) >= 0  # fewer of fewer is no speed backwards
    done = await site.job(asked)
    assert (done.status, done.processed_items, done.total_items) == ("completed", 9, 10)


async def test_a_cancelled_build_ends_with_all_its_processes_and_can_be_tried_again(
    site: Site,
) -> None:
    script = "trap 'echo going' TERM; setsid sleep 60 & echo up; while :; do sleep 0.1; done"
    site.recipes(site=shell(script))
    asked = await site.ask_build()
    async with site.jobs.on_shift() as worker:
        await worker.claim()
        await until(lambda: _has(site, asked, "up\n"))
        began = asyncio.get_running_loop().time()
        assert (await site.admin.post(f"/jobs/{asked['job_id']}/cancel")).status_code == 202
        await until(lambda: _ended(site, asked))
        assert asyncio.get_running_loop().time() - began < 2.5

    build = await site.get(f"/builds/{asked['build_id']}")
    assert (build["status"], build["error_code"]) == ("failed", "cancelled")
    assert alive_below(site.data) == []
    assert (await site.log(build["id"])).startswith("up\n")

    site.recipes(site=shell("echo again; touch index.html"))
    assert (await site.admin.post(f"/jobs/{asked['job_id']}/retry")).status_code == 202
    assert (await site.get(f"/builds/{asked['build_id']}"))["status"] == "pending"
    await site.jobs.run_all()
    build = await site.get(f"/builds/{asked['build_id']}")

    assert (build["status"], build["error_code"]) == ("succeeded", None)
    assert await site.log(build["id"]) == "again\n"  # that of the first run is gone
    audit = await site.audit(build["id"])
    assert [(line["action"], line["actor"]) for line in audit] == [
        ("requested", "root"),
        ("started", None),
        ("cancel_requested", "root"),
        ("cancelled", None),
        ("retried", "root"),
        ("started", None),
        ("succeeded", None),
    ]


async def test_a_worker_that_stops_ends_the_build_after_the_grace_and_hands_it_back(
    make_settings: Any,
) -> None:
    async with open_site(make_settings(shutdown_grace_seconds=0.3)) as site:
        site.recipes(site=shell("echo up; sleep 60"))
        asked = await site.ask_build()
        async with site.jobs.on_shift() as worker:
            await worker.claim()
            await until(lambda: _has(site, asked, "up\n"))

        assert alive_below(site.data) == []
        build = await site.get(f"/builds/{asked['build_id']}")
        assert (build["status"], build["started_at"]) == ("pending", None)
        site.recipes(site=shell("echo twice; touch index.html"))
        await site.jobs.run_all()
        assert await site.log(build["id"]) == "twice\n"
        assert await site.actions(build["id"]) == [
            "requested",
            "started",
            "released",
            "started",
            "succeeded",
        ]


async def test_builds_go_one_after_another_in_the_order_of_asking(site: Site) -> None:
    site.recipes(site=shell("touch index.html"))
    asked = [await site.ask_build() for _ in range(4)]

    worker = site.jobs.worker(max_jobs=4)
    await run_all(worker)

    spans = []
    for each in asked:
        lines = {line["action"]: line["at"] for line in await site.audit(each["build_id"])}
        spans.append((lines["started"], lines["succeeded"]))
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


async def _has(site: Site, asked: dict[str, Any], text: str) -> bool:
    return await site.log(asked["build_id"]) == text


async def _ended(site: Site, asked: dict[str, Any]) -> bool:
    with suppress(KeyError):
        return (await site.job(asked)).status in ("cancelled", "failed", "completed")
    return False


async def test_a_run_removes_what_dead_workers_left_and_nothing_else(site: Site) -> None:
    site.recipes(site=shell("touch index.html"))
    done = await site.build()
    folder = site.data / "builds"
    left = folder / f"{done['job_id']}-left"
    guarded = folder / f"{done['job_id']}-guarded"
    for each in (left, guarded):
        (each / "home").mkdir(parents=True)
    lock = take_lock(guarded)

    await site.build()
    assert list(folder.iterdir()) == [guarded]
    assert still_at_work(site.data, UUID(done["job_id"]))
    os.close(lock)
    assert not still_at_work(site.data, UUID(done["job_id"]))
    await site.build()

    assert list(folder.iterdir()) == []
