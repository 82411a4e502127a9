"""GET /jobs and what people may do with a job."""

import asyncio
import re
import time
from uuid import uuid4

import httpx

from app.api.examples import EVENT, JOB
from tests.api.conftest import Api, OpenApi, ask

_OUT_OF_BOUNDS = {
    "limit": ("0", "201", "x", ""),
    "offset": ("-1", "1000001", "99999999999999999999"),
    "status": ("done", ""),
    "job_type": ("", 65 * "x"),
}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


async def test_work_is_accepted_with_where_to_follow_it(ann: httpx.AsyncClient) -> None:
    answer = await ann.post("/counts", json={"items": 1})

    body = answer.json()
    assert answer.status_code == 202
    assert list(body) == ["message", "status", "task_id", "job_id", "count_id"]
    assert body["task_id"] == body["job_id"]
    assert body["status"] == "queued"
    assert answer.headers["location"] == f"/jobs/{body['job_id']}"
    assert answer.headers["retry-after"] == "1"


async def test_every_field_of_a_job_is_there_in_order(api: Api, ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)

    queued = (await ann.get(f"/jobs/{job_id}")).json()
    await api.jobs.run_all()
    done = (await ann.get(f"/jobs/{job_id}")).json()

    assert list(queued) == list(done) == list(JOB)
    assert queued["status"] == "queued"
    assert (queued["progress_percent"], queued["total_items"], queued["attempt"]) == (0, None, 0)
    assert (queued["scheduled_at"], queued["started_at"], queued["result"]) == (None, None, None)
    assert (done["status"], done["progress_percent"], done["result"]) == (
        "completed",
        100,
        {"counted": 3},
    )
    assert (done["total_items"], done["processed_items"], done["failed_items"]) == (3, 3, 0)
    assert (done["job_type"], done["queue"], done["stage"]) == ("count", "default", "counting")
    assert done["cancel_requested"] is False
    for name in ("created_at", "started_at", "heartbeat_at", "completed_at"):
        assert _TIME.fullmatch(done[name]), name


async def test_a_job_for_later_says_when(api: Api, ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)
    async with api.db.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "UPDATE background_jobs SET run_after = '2999-01-01T00:00:00.000000Z'"
        )

    assert (await ann.get(f"/jobs/{job_id}")).json()["scheduled_at"] == (
        "2999-01-01T00:00:00.000000Z"
    )


async def test_the_list_is_newest_first_with_an_exact_total(
    api: Api, ann: httpx.AsyncClient, bob: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    first, second = await ask(ann), await ask(ann)
    await ask(bob)

    mine = (await ann.get("/jobs")).json()
    page = (await ann.get("/jobs?limit=1&offset=1")).json()
    everybodys = (await admin.get("/jobs")).json()
    await api.jobs.run_all()

    assert [each["job_id"] for each in mine["jobs"]] == [str(second), str(first)]
    assert (mine["total"], everybodys["total"]) == (2, 3)
    assert ([each["job_id"] for each in page["jobs"]], page["total"]) == ([str(first)], 2)
    assert list(mine["jobs"][0]) == list(JOB)
    assert (await ann.get("/jobs?status=completed&job_type=count")).json()["total"] == 2
    assert (await ann.get("/jobs?status=failed")).json() == {"jobs": [], "total": 0}
    assert (await ann.get("/jobs?job_type=nothing")).json()["total"] == 0


async def test_what_is_out_of_bounds_is_422(ann: httpx.AsyncClient) -> None:
    for name, values in _OUT_OF_BOUNDS.items():
        for value in values:
            answer = await ann.get(f"/jobs?{name}={value}")
            assert answer.status_code == 422, (name, value)
            assert answer.json()["errors"][0]["field"] == name


async def test_an_unchanged_job_is_304(api: Api, ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)
    first = await ann.get(f"/jobs/{job_id}")
    tag = first.headers["etag"]

    assert re.fullmatch(r'W/"\d+"', tag)
    for given in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        again = await ann.get(f"/jobs/{job_id}", headers={"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)

    await api.jobs.run_all()
    await asyncio.sleep(0.3)
    changed = await ann.get(f"/jobs/{job_id}", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["status"]) == (200, "completed")


async def test_waiting_ends_with_the_next_version(api: Api, ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)
    tag = (await ann.get(f"/jobs/{job_id}")).headers["etag"]

    named = asyncio.create_task(ann.get(f"/jobs/{job_id}?wait=20", headers={"If-None-Match": tag}))
    unnamed = asyncio.create_task(ann.get(f"/jobs/{job_id}?wait=20"))
    await asyncio.sleep(0.3)
    assert not named.done()
    assert not unnamed.done()
    await ann.post(f"/jobs/{job_id}/cancel")
    began = time.monotonic()

    for answer in (await named, await unnamed):
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert answer.headers["etag"] != tag
    assert time.monotonic() - began < 2


async def test_when_the_time_is_up_the_present_state_is_told(ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)
    tag = (await ann.get(f"/jobs/{job_id}")).headers["etag"]
    began = time.monotonic()

    named = await ann.get(f"/jobs/{job_id}?wait=0.3", headers={"If-None-Match": tag})
    unnamed = await ann.get(f"/jobs/{job_id}?wait=0.3")

    assert time.monotonic() - began >= 0.6
    assert (named.status_code, unnamed.status_code) == (304, 200)
    other = await ann.get(f"/jobs/{job_id}?wait=30", headers={"If-None-Match": 'W/"0"'})
    assert other.status_code == 200


async def test_nobody_waits_for_an_ended_job(ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)
    await ann.post(f"/jobs/{job_id}/cancel")
    began = time.monotonic()

    answer = await ann.get(f"/jobs/{job_id}?wait=30")
    tag = answer.headers["etag"]
    again = await ann.get(f"/jobs/{job_id}?wait=30", headers={"If-None-Match": tag})

    assert (answer.status_code, again.status_code) == (200, 304)
    assert time.monotonic() - began < 2


async def test_a_wait_has_bounds(ann: httpx.AsyncClient) -> None:
    for wait in ("31", "-1", "x", "nan", "inf", ""):
        answer = await ann.get(f"/jobs/{uuid4()}?wait={wait}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "wait"), wait


async def test_a_hundred_waiters_hold_no_connections(api: Api, ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)
    waiting = [asyncio.create_task(ann.get(f"/jobs/{job_id}?wait=20")) for _ in range(100)]
    await asyncio.sleep(0.5)

    assert (await ann.get("/jobs")).json()["total"] == 1
    await api.jobs.run_all()

    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}


async def test_a_stopping_process_lets_waiters_go(open_api: OpenApi) -> None:
    async with open_api() as api:
        ann = await api.user("ann")
        job_id = await ask(ann)
        waiting = asyncio.create_task(ann.get(f"/jobs/{job_id}?wait=30"))
        await asyncio.sleep(0.2)

        api.app.state.services.feed.close()

        assert (await asyncio.wait_for(waiting, 2)).status_code == 200


async def test_cancel_and_retry_of_a_queued_job(api: Api, ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)

    cancelled = await ann.post(f"/jobs/{job_id}/cancel")
    after = (await ann.get(f"/jobs/{job_id}")).json()
    again = await ann.post(f"/jobs/{job_id}/cancel")
    retried = await ann.post(f"/jobs/{job_id}/retry")
    twice = await ann.post(f"/jobs/{job_id}/retry")
    await api.jobs.run_all()

    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert cancelled.headers["location"] == f"/jobs/{job_id}"
    assert (after["status"], after["error_type"]) == ("cancelled", "cancelled")
    assert (again.status_code, again.json()["code"]) == (409, "already_ended")
    assert (retried.status_code, retried.json()["status"]) == (202, "queued")
    assert retried.json()["job_id"] == retried.json()["task_id"] == str(job_id)
    assert twice.status_code == 409
    assert (await ann.get(f"/jobs/{job_id}")).json()["status"] == "completed"
    assert (await ann.post(f"/jobs/{job_id}/retry")).status_code == 409


async def test_a_failed_job_keeps_its_checkpoint_and_gets_another_budget(
    api: Api, ann: httpx.AsyncClient
) -> None:
    job_id = await ask(ann, fail=True)
    await api.jobs.run_all()
    failed = (await ann.get(f"/jobs/{job_id}")).json()

    await ann.post(f"/jobs/{job_id}/retry")
    queued = (await ann.get(f"/jobs/{job_id}")).json()

    assert (failed["status"], failed["error_type"]) == ("failed", "uncountable")
    assert failed["error_message"] == "it does not count"
    assert (queued["status"], queued["processed_items"]) == ("queued", 3)
    assert (queued["error_type"], queued["completed_at"]) == (None, None)
    assert queued["max_attempts"] == failed["max_attempts"] + 1


async def test_no_retry_while_an_equal_job_is_active(api: Api, ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann, only_one=True, fail=True)
    await api.jobs.run_all()
    await ask(ann, only_one=True)

    answer = await ann.post(f"/jobs/{job_id}/retry")

    assert (answer.status_code, answer.json()["code"]) == (409, "equal_job_active")


async def test_the_audit_trail_is_oldest_first(api: Api, ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)
    await api.jobs.run_all()

    trail = (await ann.get(f"/jobs/{job_id}/events")).json()
    page = (await ann.get(f"/jobs/{job_id}/events?limit=1&offset=1")).json()

    assert [each["kind"] for each in trail["events"]] == [
        "queued",
        "started",
        "progress_stage",
        "completed",
    ]
    assert trail["total"] == page["total"] == 4
    assert page["events"] == trail["events"][1:2]
    assert list(trail["events"][0]) == list(EVENT)
    assert all(_TIME.fullmatch(each["at"]) for each in trail["events"])
    assert (await ann.get(f"/jobs/{uuid4()}/events")).status_code == 404
