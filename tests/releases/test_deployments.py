"""Deployments over HTTP and through the real worker, on both databases."""

from typing import Any

import pytest
from sqlalchemy import delete, update

from app.releases.models import Deployment, Environment
from tests.releases.processes import alive_below
from tests.releases.site import Site, shell
from tests.waiting import until


async def test_a_deployment_makes_a_build_live_under_its_paths(site: Site) -> None:
    site.recipes(
        site=shell(
            "mkdir -p js; printf one > index.html; printf x > js/run; chmod +x js/run",
            ["index.html", "js"],
            health_check=["sh", "-c", "test -f index.html"],
        )
    )
    build = await site.build()
    asked = await site.ask_deployment(build["id"])
    pending = await site.get(f"/deployments/{asked['deployment_id']}")
    await site.jobs.run_all()
    deployment = await site.get(f"/deployments/{asked['deployment_id']}")

    assert (pending["status"], pending["sequence"]) == ("pending", None)
    assert (deployment["status"], deployment["sequence"]) == ("succeeded", 1)
    current = site.current()
    assert str(current.readlink()) == f"releases/1-{build['id']}"
    assert (current / "index.html").read_text() == "one"
    assert (current / "js" / "run").stat().st_mode & 0o111
    assert await site.live() == {
        "environment": "prod",
        "build_id": build["id"],
        "sequence": 1,
        "release": f"1-{build['id']}",
        "deployment_id": deployment["id"],
    }
    job = await site.job(deployment)
    assert (job.status, job.lane, job.priority, job.stage) == (
        "completed",
        "deploy:prod",
        10,
        "checking",
    )
    assert (job.processed_items, job.total_items) == (2, 2)
    audit = await site.audit(deployment["id"])
    assert [line["action"] for line in audit] == ["requested", "started", "succeeded"]
    assert audit[1]["data"] == {"environment": "prod", "sequence": 1}


async def test_a_failed_health_check_rolls_back_and_says_what_it_said(site: Site) -> None:
    site.recipes(site=shell("echo $HEADWAY_REF > index.html"))
    good = await site.build(ref="good")
    await site.deploy(good["id"])
    site.recipes(
        site=shell(
            "echo $HEADWAY_REF > index.html",
            health_check=["sh", "-c", "echo checking; echo no answer from 8080; exit 7"],
        )
    )
    bad = await site.build(ref="bad")

    failed = await site.deploy(bad["id"])
    first_of_all = await site.deploy(bad["id"], "empty")

    assert (failed["status"], failed["error_code"]) == ("failed", "health_check_failed")
    assert failed["error_message"] == (
        "The health check ended with status 7. It said: no answer from 8080"
    )
    assert (await site.live())["build_id"] == good["id"]
    assert (site.current() / "index.html").read_text() == "good\n"
    lines = {line["action"]: line for line in await site.audit(failed["id"])}
    assert lines["rolled_back"]["worker"] == lines["failed"]["worker"]
    assert lines["rolled_back"]["data"] == {
        "from": f"2-{bad['id']}",
        "to": f"1-{good['id']}",
        "reason": "health_check_failed",
    }
    assert first_of_all["status"] == "failed"
    assert (await site.live("empty"))["build_id"] is None
    assert not site.current("empty").is_symlink()


async def test_a_rollback_that_comes_too_late_is_refused_and_told(site: Site) -> None:
    check = f"echo '99 open' > {site.current().parent}/run; exit 1"
    site.recipes(site=shell("touch index.html", health_check=["sh", "-c", check]))
    build = await site.build()

    deployment = await site.deploy(build["id"])

    assert (deployment["status"], deployment["error_code"]) == ("failed", "health_check_failed")
    (refused,) = (
        line for line in await site.audit(deployment["id"]) if line["action"] == "rollback_refused"
    )
    assert refused["data"]["reason"] == "health_check_failed"
    assert (await site.live())["build_id"] == build["id"]  # what is live is said as it is


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # no SQL of its own
async def test_health_checks_that_hang_or_leave_processes_fail(site: Site) -> None:
    for check in ("sleep 60", "setsid sleep 60 & exit 0"):
        site.recipes(
            site=shell("touch index.html", health_check=["sh", "-c", check], health_timeout=0.5)
        )
        build = await site.build()
        deployment = await site.deploy(build["id"])
        assert (deployment["status"], deployment["error_code"]) == ("failed", "health_check_failed")
        assert alive_below(site.data) == []


async def test_the_newest_releases_are_kept(site: Site) -> None:
    site.recipes(site=shell("touch index.html", keep=2))
    build = await site.build()

    for _ in range(4):
        await site.deploy(build["id"])

    releases = site.current().parent / "releases"
    assert sorted(each.name.partition("-")[0] for each in releases.iterdir()) == ["3", "4"]


async def test_a_cancelled_deployment_leaves_the_previous_release_live(site: Site) -> None:
    site.recipes(site=shell("echo $HEADWAY_REF > index.html"))
    old = await site.build(ref="old")
    await site.deploy(old["id"])
    site.recipes(site=shell("true", health_check=["sh", "-c", "sleep 60"]))
    asked = await site.ask_deployment(old["id"])

    async with site.jobs.on_shift() as worker:
        await worker.claim()
        await until(lambda: _at_stage(site, asked, "checking"))
        assert (await site.live())["sequence"] == 2
        assert (await site.admin.post(f"/jobs/{asked['job_id']}/cancel")).status_code == 202
        await until(lambda: _ended(site, asked))

    deployment = await site.get(f"/deployments/{asked['deployment_id']}")
    assert (deployment["status"], deployment["error_code"]) == ("failed", "cancelled")
    assert (await site.live())["sequence"] == 1
    assert alive_below(site.data) == []
    assert await site.actions(deployment["id"]) == [
        "requested",
        "started",
        "cancel_requested",
        "rolled_back",
        "cancelled",
    ]


async def test_a_retried_deployment_runs_under_a_new_number(site: Site) -> None:
    flag = site.data / "healthy"
    check = ["sh", "-c", f"test -e {flag}"]
    site.recipes(site=shell("touch index.html", health_check=check))
    build = await site.build()
    failed = await site.deploy(build["id"])
    assert failed["status"] == "failed"
    flag.touch()
    assert (await site.deploy(build["id"]))["sequence"] == 2

    assert (await site.admin.post(f"/jobs/{failed['job_id']}/retry")).status_code == 202
    await site.jobs.run_all()

    again = await site.get(f"/deployments/{failed['id']}")
    assert (again["status"], again["sequence"]) == ("succeeded", 3)
    assert (await site.live())["deployment_id"] == failed["id"]


async def test_a_blob_that_is_gone_or_changed_is_found_before_the_switch(site: Site) -> None:
    site.recipes(site=shell("echo a > index.html"))
    build = await site.build()
    sha256 = build["artifacts"][0]["sha256"]
    blob = site.data / "blobs" / "builds" / sha256[:2] / sha256
    content = blob.read_bytes()

    blob.write_bytes(b"tampered")
    changed = await site.deploy(build["id"])
    blob.unlink()
    gone = await site.deploy(build["id"])
    blob.write_bytes(content)

    assert (changed["error_code"], gone["error_code"]) == ("bad_manifest", "blob_missing")
    assert not site.current().exists()
    assert [*(site.current().parent / "releases").iterdir()] == []
    assert (await site.deploy(build["id"]))["status"] == "succeeded"


async def test_a_database_made_anew_goes_on_with_the_folder_that_is_there(site: Site) -> None:
    site.recipes(site=shell("touch index.html"))
    build = await site.build()
    for _ in range(3):
        await site.deploy(build["id"])
    async with site.resources.db.transaction() as session:
        await session.execute(delete(Deployment))
        await session.execute(update(Environment).values(last_sequence=0))

    deployment = await site.deploy(build["id"])

    assert (deployment["status"], deployment["sequence"]) == ("succeeded", 4)
    assert (await site.live())["sequence"] == 4


async def _at_stage(site: Site, asked: dict[str, Any], stage: str) -> bool:
    return (await site.job(asked)).stage == stage and bool(alive_below(site.data))


async def _ended(site: Site, asked: dict[str, Any]) -> bool:
    return (await site.job(asked)).status in ("cancelled", "failed", "completed")
