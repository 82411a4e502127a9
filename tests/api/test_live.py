"""GET /jobs/{id}/stream and GET /jobs/stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from app.api.auth import create_token, list_tokens, revoke_token
from app.api.examples import JOB
from app.api.stream import Stream
from app.jobs.store import changes, read
from tests.api.conftest import Api, OpenApi, ask
from tests.api.listening import Listener, listening
from tests.waiting import until


@asynccontextmanager
async def following(
    api: Api, who: httpx.AsyncClient, path: str, **headers: str
) -> AsyncIterator[Listener]:
    async with listening(api.app, path, who.headers["authorization"], **headers) as stream:
        yield stream


async def move(api: Api, job_id: UUID, **values: object) -> None:
    """What a worker's step does to a row, without a worker."""
    changes = ", ".join(f"{name} = :{name}" for name in values)
    sql = f"UPDATE background_jobs SET version = version + 1, {changes} WHERE id = :id"
    given = str(job_id) if api.db.is_sqlite else job_id
    async with api.db.transaction() as session:
        await session.execute(text(sql), values | {"id": given})


async def test_the_present_state_then_every_change_then_the_end(
    api: Api, ann: httpx.AsyncClient
) -> None:
    job_id = await ask(ann)
    async with following(api, ann, f"/jobs/{job_id}/stream") as stream:
        first = await stream.next()
        await api.jobs.run_all()
        events = await stream.all()

    assert (stream.status, stream.headers["content-type"]) == (
        200,
        "text/event-stream; charset=utf-8",
    )
    assert first is not None
    assert (first.kind, list(first.data), first.data["status"]) == ("job", list(JOB), "queued")
    assert [event.kind for event in events[-2:]] == ["job", "end"]
    assert events[-2].data == (await ann.get(f"/jobs/{job_id}")).json()
    assert events[-2].data["status"] == "completed"
    assert events[-1].data == {"status": "completed"}
    tag = (await ann.get(f"/jobs/{job_id}")).headers["etag"]
    assert tag == f'W/"{events[-2].id}"'


async def test_a_busy_job_is_told_four_times_a_second_and_its_newest_state_arrives(
    api: Api, ann: httpx.AsyncClient
) -> None:
    job_id = await ask(ann)
    async with following(api, ann, f"/jobs/{job_id}/stream") as stream:
        for number in range(1, 41):
            await move(api, job_id, processed_items=number)
            await asyncio.sleep(0.04)

        async def newest() -> bool:
            events.extend(stream.now())
            return bool(events[-1].data["processed_items"] == 40)

        events = stream.now()
        await until(newest, 5)

    versions = [event.id or 0 for event in events]
    assert versions == sorted(set(versions)), "repeated or reversed"
    moments = [event.at for event in events]
    assert all(later - first > 0.9 for first, later in zip(moments, moments[4:], strict=False))
    assert len(events) >= 5


async def test_who_comes_back_is_not_told_again(api: Api, ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)
    path = f"/jobs/{job_id}/stream"
    async with following(api, ann, path) as stream:
        first = await stream.next()
    assert first is not None

    async with following(api, ann, path, last_event_id=str(first.id)) as stream:
        with pytest.raises(TimeoutError):
            await stream.next(0.5)
        await move(api, job_id, processed_items=1)
        second = await stream.next()
    assert second is not None
    assert second.id == (first.id or 0) + 1

    await ann.post(f"/jobs/{job_id}/cancel")
    async with following(api, ann, path, last_event_id=str(second.id)) as stream:
        last, end = await stream.all()
    assert (last.data["status"], end.kind) == ("cancelled", "end")
    async with following(api, ann, path, last_event_id=str(last.id)) as stream:
        assert [event.kind for event in await stream.all()] == ["end"]
    for nonsense in ("x", "-1", "99999999999", "4000000"):
        async with following(api, ann, path, last_event_id=nonsense) as stream:
            assert [event.kind for event in await stream.all()] == ["job", "end"]


async def test_a_hundred_reconnects_lose_nothing(api: Api, ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)
    seen: list[tuple[int, str]] = []
    last: dict[str, str] = {}
    stood = ["queued", "running", "queued", "running", "failed"]

    async def change() -> None:
        for status in stood:
            for _ in range(10):  # 0.6 s in each status, a new version every 60 ms
                await asyncio.sleep(0.06)
                await move(api, job_id, status=status)

    changing = asyncio.create_task(change())
    connections = 0
    while connections < 100 or not changing.done():
        connections += 1
        async with following(api, ann, f"/jobs/{job_id}/stream", **last) as stream:
            await asyncio.sleep(0.02)
            events = stream.now()
        for event in events:
            if event.kind == "job":
                assert event.id is not None
                seen.append((event.id, event.data["status"]))
                last = {"last_event_id": str(event.id)}
    async with following(api, ann, f"/jobs/{job_id}/stream", **last) as stream:
        *events, end = await stream.all()
    seen += [(event.id or 0, event.data["status"]) for event in events]

    assert end.kind == "end"
    versions = [version for version, _status in seen]
    assert versions == sorted(set(versions)), "repeated or reversed"
    statuses = [status for _version, status in seen]
    told = [s for n, s in enumerate(statuses) if n == 0 or statuses[n - 1] != s]
    assert told == stood
    assert versions[-1] == 51


async def test_all_jobs_of_the_caller_and_no_others(
    api: Api, ann: httpx.AsyncClient, bob: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    before = await ask(ann)
    async with (
        following(api, ann, "/jobs/stream") as anns,
        following(api, bob, "/jobs/stream") as bobs,
        following(api, admin, "/jobs/stream") as everybodys,
    ):
        first = await anns.next()
        assert first is not None
        assert first.data["job_id"] == str(before)
        after, his = await ask(ann), await ask(bob)

        async def told(stream: Listener, wanted: set[UUID]) -> None:
            found: dict[str, str] = {}
            while {UUID(k) for k, v in found.items() if v == "completed"} != wanted:
                event = await stream.next()
                assert event is not None
                assert event.kind == "job"
                found[event.data["job_id"]] = event.data["status"]

        await asyncio.sleep(0.2)
        await api.jobs.run_all()
        await told(anns, {before, after})
        await told(bobs, {his})
        await told(everybodys, {before, after, his})

    async with following(api, ann, "/jobs/stream") as again:  # those lately ended
        assert {(await again.next()).data["job_id"] for _ in range(2)} == {  # type: ignore[union-attr]
            str(before),
            str(after),
        }


async def test_who_comes_back_to_all_jobs_is_told_to_read_the_list_again(
    api: Api, ann: httpx.AsyncClient
) -> None:
    await ask(ann)
    async with following(api, ann, "/jobs/stream", **{"last-event-id": "1"}) as stream:
        kinds = [event.kind for _ in range(2) if (event := await stream.next()) is not None]

    assert kinds == ["job", "gap"]


async def test_steps_of_running_jobs_are_seen_by_who_watches_all(
    api: Api, ann: httpx.AsyncClient
) -> None:
    job_id = await ask(ann)
    await move(api, job_id, status="running")
    async with following(api, ann, "/jobs/stream") as stream:
        await stream.next()
        await asyncio.sleep(0.3)
        await move(api, job_id, processed_items=7)
        event = await stream.next(2)

    assert event is not None
    assert event.data["processed_items"] == 7


async def test_a_stream_is_as_closed_as_everything_else(
    api: Api, ann: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    job_id = await ask(ann)

    for path in (f"/jobs/{job_id}/stream", "/jobs/stream"):
        assert (await api.client().get(path)).status_code == 401
    assert (await bob.get(f"/jobs/{job_id}/stream")).status_code == 404
    assert (await ann.get(f"/jobs/{uuid4()}/stream")).status_code == 404
    assert (await ann.get("/jobs/nonsense/stream")).status_code == 404
    assert (await ann.head("/jobs/stream")).status_code == 200


async def test_a_user_may_have_only_so_many(open_api: OpenApi) -> None:
    async with open_api(max_streams_per_user=2) as api:
        ann, bob = await api.user("ann"), await api.user("bob")
        async with following(api, ann, "/jobs/stream"), following(api, ann, "/jobs/stream"):
            third = await ann.get("/jobs/stream")
            async with following(api, bob, "/jobs/stream") as bobs:
                assert bobs.status == 200
        assert (third.status_code, third.json()["code"]) == (429, "too_many_streams")
        assert int(third.headers["retry-after"]) >= 1
        async with following(api, ann, "/jobs/stream") as again:
            assert again.status == 200


async def test_the_streams_of_a_revoked_token_end(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.tokens._SECONDS", 0.2)
    async with api.db.transaction() as session:
        token = await create_token(session, "ann")
    async with listening(api.app, "/jobs/stream", f"Bearer {token}") as stream:
        await asyncio.sleep(0.7)
        async with api.db.transaction() as session:
            await revoke_token(session, (await list_tokens(session))[0]["id"])
        assert await stream.next(4) is None


async def test_a_quiet_line_is_spoken_on(
    api: Api, ann: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.stream._QUIET_SECONDS", 0.2)
    async with following(api, ann, "/jobs/stream") as stream:

        async def spoken() -> bool:
            return stream.raw.count(b": still here\n\n") >= 2

        await until(spoken, 4)


async def test_a_stopping_process_ends_its_streams(open_api: OpenApi) -> None:
    async with open_api() as api:
        ann = await api.user("ann")
        job_id = await ask(ann)
        async with (
            following(api, ann, f"/jobs/{job_id}/stream") as one,
            following(api, ann, "/jobs/stream") as everything,
        ):
            await one.next()
            api.app.state.services.feed.close()
            assert await one.next(1) is None
            assert (await everything.all(1))[0].kind == "job"
        async with following(api, ann, f"/jobs/{job_id}/stream") as late:
            assert [event.kind for event in await late.all(1)] == ["job"]


async def test_nobody_watches_nothing_is_asked(api: Api, ann: httpx.AsyncClient) -> None:
    job_id = await ask(ann)
    feed = api.app.state.services.feed
    async with following(api, ann, f"/jobs/{job_id}/stream") as stream:
        await stream.next()
        assert not feed._task.done()

    await asyncio.sleep(0.5)
    assert feed._task.done()
    assert api.app.state.services.streams._seats == {}


async def test_a_watched_job_is_304_from_memory(
    api: Api, ann: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await ask(ann)
    tag = (await ann.get(f"/jobs/{job_id}")).headers["etag"]
    async with following(api, ann, f"/jobs/{job_id}/stream") as stream:
        await stream.next()
        asked = 0
        real = read.one

        async def counted(*given: Any) -> Any:
            nonlocal asked
            asked += 1
            return await real(*given)

        monkeypatch.setattr("app.api.one_job.read.one", counted)
        for _ in range(40):
            answer = await ann.get(f"/jobs/{job_id}", headers={"If-None-Match": tag})
            assert answer.status_code == 304
            await asyncio.sleep(0.02)
        assert asked < 10, "the database was asked"

        await move(api, job_id, processed_items=3)
        await asyncio.sleep(0.5)
        changed = await ann.get(f"/jobs/{job_id}", headers={"If-None-Match": tag})
        assert (changed.status_code, changed.json()["processed_items"]) == (200, 3)


async def test_who_comes_during_a_look_is_not_in_its_answer(
    api: Api, ann: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is a stream told that its job is gone, nor is one who waits woken for nothing."""
    first, second = await ask(ann), await ask(ann)
    looking, go_on = asyncio.Event(), asyncio.Event()
    versions = changes.versions

    async def slow(*args: Any, **kwargs: Any) -> dict[str, int]:
        found = await versions(*args, **kwargs)
        looking.set()
        await go_on.wait()
        return found

    async with following(api, ann, f"/jobs/{first}/stream") as one:
        await one.next()
        monkeypatch.setattr(changes, "versions", slow)
        await looking.wait()
        async with following(api, ann, f"/jobs/{second}/stream") as late:
            waiting = asyncio.create_task(ann.get(f"/jobs/{second}", params={"wait": 1}))
            await late.next()
            await asyncio.sleep(0.1)
            go_on.set()
            with pytest.raises(TimeoutError):
                await late.next(0.5)
            assert not waiting.done()
        await waiting


async def test_a_client_that_reads_nothing_keeps_nobody_from_stopping() -> None:
    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and message["body"].startswith(b"event"):
            await asyncio.Event().wait()  # its socket is full

    async def receive() -> Any:
        await asyncio.Event().wait()

    stream = Stream(send, job_id=None, owner=None, user_id=uuid4(), credential="")
    await stream.open()
    stream.missed()
    stream.pump()
    listening = asyncio.create_task(stream.until_gone(receive))
    await asyncio.sleep(0.1)
    stream.close()

    async with asyncio.timeout(4):
        await listening
