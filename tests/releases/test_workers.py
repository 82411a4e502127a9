"""Real workers that are killed, stopped and frozen in the middle of builds and deployments."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeSettings
from tests.databases import on_sqlite_and_when_there_is_time_on_postgresql
from tests.processes import end
from tests.releases.crew import Crew, open_crew, stopped
from tests.releases.processes import alive_below
from tests.releases.site import shell
from tests.waiting import until

pytestmark = [
    pytest.mark.fault,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc"),
]

STUBBORN = "trap '' TERM; setsid sleep 60 & echo up; while :; do sleep 1; done"


@pytest.fixture(params=["database", pytest.param("arq", marks=pytest.mark.long)])
async def crew(
    request: pytest.FixtureRequest, make_settings: MakeSettings, tmp_path: Path
) -> AsyncIterator[Crew]:
    engine: str = request.param
    changes: dict[str, Any] = {"job_lease_seconds": 15, "shutdown_grace_seconds": 0.5}
    if engine == "arq":
        changes["redis_url"] = request.getfixturevalue("valkey").url
    async with open_crew(make_settings(**changes), engine, tmp_path) as crew:
        yield crew


@on_sqlite_and_when_there_is_time_on_postgresql
async def test_a_killed_worker_leaves_no_process_and_the_next_build_starts(crew: Crew) -> None:
    crew.site.recipes(site=shell(STUBBORN), quick=shell("touch index.html"))
    first = await crew.hire()
    asked = await crew.site.ask_build()
    waiting = await crew.site.ask_build("quick")
    await crew.printed(asked["build_id"], "up")
    await crew.hire()

    first.kill()
    killed = time.monotonic()
    lost = await crew.ended(f"/builds/{asked['build_id']}")
    seconds = time.monotonic() - killed

    assert (lost["status"], lost["error_code"]) == ("failed", "worker_lost")
    assert seconds < 4, seconds  # one look a second; the rest is this machine's noise
    assert alive_below(crew.site.data / "builds" / asked["job_id"]) == []
    assert (await crew.ended(f"/builds/{waiting['build_id']}"))["status"] == "succeeded"
    audit = {line["action"]: line for line in await crew.site.audit(asked["build_id"])}
    assert f":{first.pid}:" in audit["recovered"]["worker"]
    after = {line["action"]: line for line in await crew.site.audit(waiting["build_id"])}
    assert audit["recovered"]["at"] <= after["started"]["at"]
    assert list((crew.site.data / "builds").iterdir()) == []  # the next run has tidied up


@pytest.mark.long
@pytest.mark.parametrize("place", ["before_switch", "after_switch"])
async def test_a_worker_killed_at_the_switch_leaves_one_release_live_and_says_which(
    crew: Crew, place: str
) -> None:
    crew.site.recipes(site=shell("echo $HEADWAY_REF > index.html"))
    builder = await crew.hire()
    old, new = [await crew.site.ask_build(ref=ref) for ref in ("old", "new")]
    await crew.ended(f"/builds/{new['build_id']}")
    deployed = await crew.site.ask_deployment(old["build_id"])
    await crew.ended(f"/deployments/{deployed['deployment_id']}")
    end(builder)

    await crew.hire(FAILPOINT=f"{place}:exit")
    asked = await crew.site.ask_deployment(new["build_id"])
    await crew.stands(f"/deployments/{asked['deployment_id']}", "ongoing")
    crew.workers[-1].wait(30)
    await crew.hire()
    lost = await crew.ended(f"/deployments/{asked['deployment_id']}")

    live = old if place == "before_switch" else new
    assert (lost["status"], lost["error_code"]) == ("failed", "worker_lost")
    assert (await crew.site.live())["build_id"] == live["build_id"]
    text = (crew.site.current() / "index.html").read_text()
    assert text == ("old\n" if live is old else "new\n")
    audit = {line["action"]: line for line in await crew.site.audit(asked["deployment_id"])}
    assert audit["recovered"]["data"]["live"].endswith(live["build_id"])
    assert alive_below(crew.site.data) == []

    again = await crew.site.admin.post(f"/jobs/{asked['job_id']}/retry")
    assert again.status_code == 202
    await crew.stands(f"/deployments/{asked['deployment_id']}", "succeeded")
    assert (await crew.site.live())["build_id"] == new["build_id"]


async def test_a_worker_killed_in_the_health_check_leaves_nothing_of_it(crew: Crew) -> None:
    checking = crew.site.data / "checking"
    check = ["sh", "-c", f"setsid sleep 60 & echo $$ > {checking}; sleep 60"]
    made = "echo $HEADWAY_REF > index.html"
    crew.site.recipes(site=shell(made, health_check=check, health_timeout=90))
    worker = await crew.hire()
    build = await crew.site.ask_build(ref="new")
    await crew.ended(f"/builds/{build['build_id']}")
    asked = await crew.site.ask_deployment(build["build_id"])

    async def at_work() -> bool:
        return checking.exists() and len(alive_below(crew.site.data / "builds")) > 2

    await until(at_work, 30.0)
    worker.kill()
    await crew.hire()
    lost = await crew.ended(f"/deployments/{asked['deployment_id']}")

    assert (lost["status"], lost["error_code"]) == ("failed", "worker_lost")
    assert alive_below(crew.site.data / "builds") == []
    assert (await crew.site.live())["build_id"] == build["build_id"]
    crew.site.recipes(site=shell(made, health_check=["true"]))
    assert (await crew.site.admin.post(f"/jobs/{asked['job_id']}/retry")).status_code == 202
    await crew.stands(f"/deployments/{asked['deployment_id']}", "succeeded")


@pytest.mark.long
async def test_a_stopped_worker_ends_its_build_and_hands_it_back(crew: Crew) -> None:
    crew.site.recipes(site=shell(STUBBORN))
    worker = await crew.hire()
    asked = await crew.site.ask_build()
    await crew.printed(asked["build_id"], "up")

    began = time.monotonic()
    code = end(worker)

    assert time.monotonic() - began < 6
    assert (await crew.site.get(f"/builds/{asked['build_id']}"))["status"] == "pending"
    assert alive_below(crew.site.data) == []
    assert code == 0
    crew.site.recipes(site=shell("touch index.html"))
    await crew.hire()
    assert (await crew.ended(f"/builds/{asked['build_id']}"))["status"] == "succeeded"


@pytest.mark.long
async def test_a_stopping_worker_lets_a_build_finish_within_the_grace(crew: Crew) -> None:
    crew.site.recipes(site=shell("echo up; sleep 2; touch index.html"))
    worker = await crew.hire(SHUTDOWN_GRACE_SECONDS="8")
    asked = await crew.site.ask_build()
    waiting = await crew.site.ask_build()
    await crew.printed(asked["build_id"], "up")

    assert end(worker) == 0

    assert (await crew.site.get(f"/builds/{asked['build_id']}"))["status"] == "succeeded"
    assert (await crew.site.get(f"/builds/{waiting['build_id']}"))["status"] == "pending"


@on_sqlite_and_when_there_is_time_on_postgresql
async def test_a_worker_frozen_before_the_switch_changes_nothing_when_it_wakes(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(job_lease_seconds=2)
    async with open_crew(settings, "database", tmp_path) as crew:
        crew.site.recipes(site=shell("echo $HEADWAY_REF > index.html"))
        frozen = await crew.hire(FAILPOINT="before_switch:stop")
        old, new = [await crew.site.ask_build(ref=ref) for ref in ("old", "new")]
        await crew.ended(f"/builds/{new['build_id']}")
        asked = await crew.site.ask_deployment(old["build_id"])
        await asyncio.to_thread(stopped, frozen)
        newer = await crew.site.ask_deployment(new["build_id"])
        await crew.hire()
        assert (await crew.ended(f"/deployments/{newer['deployment_id']}"))["status"] == "succeeded"

        frozen.send_signal(signal.SIGCONT)
        await until(lambda: _has_noticed(tmp_path))

        assert (await crew.site.live())["build_id"] == new["build_id"]
        lost = await crew.site.get(f"/deployments/{asked['deployment_id']}")
        assert (lost["status"], lost["error_code"]) == ("failed", "worker_lost")
        assert (await crew.site.actions(asked["deployment_id"]))[-1] == "recovered"


@pytest.mark.long
async def test_waiting_work_starts_right_after_the_last(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(worker_poll_interval=30)  # whoever slept between would be seen
    async with open_crew(settings, "database", tmp_path) as crew:
        crew.site.recipes(site=shell("touch index.html"))
        await crew.hire()
        began = time.monotonic()
        asked = [await crew.site.ask_build() for _ in range(5)]
        await crew.ended(f"/builds/{asked[-1]['build_id']}")

        assert time.monotonic() - began < 15
        began = time.monotonic()
        assert end(crew.workers[0]) == 0
        assert time.monotonic() - began < 10  # the poll does not keep it from stopping


async def _has_noticed(folder: Path) -> bool:
    return "lease lost; nothing written" in (folder / "worker-0.log").read_text()
