"""Embeddings of notes: what is asked of the model, what people see, and how requests merge."""

import asyncio
import logging
from typing import Any

import pytest

from app.core.errors import Unavailable
from app.jobs.engines.inline import run_all
from app.notes import store
from app.notes.jobs import RegenerateEmbeddings, ask_for_refresh
from tests.notes.shelf import (
    Model,
    fill,
    hurry,
    jobs,
    owner,
    regenerate,
    unembedded,
    with_model,
)
from tests.notes.test_notes import write
from tests.site import Site
from tests.waiting import until


async def shown(site: Site, job_id: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await site.alice.get(f"/jobs/{job_id}")).json()
    return found


async def test_a_hundred_of_a_hundred_and_fifty_are_seen(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(site.resources.db, await owner(site), 150)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def pause(call: int) -> None:
        if call == 2:
            reached.set()
            await go_on.wait()

    model = Model(before=pause)
    job_id = await regenerate(site)
    waiting = await shown(site, job_id)
    with caplog.at_level(logging.INFO, "worker"):
        running = asyncio.create_task(run_all(with_model(site, model).worker()))
        await asyncio.wait_for(reached.wait(), 20)
        halfway = await shown(site, job_id)
        go_on.set()
        await running
    ended = await shown(site, job_id)

    assert (waiting["status"], waiting["job_type"]) == ("queued", "embedding_regeneration")
    seen = ("status", "progress_percent", "total_items", "processed_items", "failed_items")
    assert [halfway[name] for name in seen] == ["running", 67, 150, 100, 0]
    assert halfway["stage"] == "embedding"
    assert [ended[name] for name in seen] == ["completed", 100, 150, 150, 0]
    assert ended["result"] == {"processed": 150, "failed": 0, "failed_notes": []}
    assert [len(call) for call in model.calls] == [100, 50]
    assert await unembedded(site) == 0
    lines = [record.message for record in caplog.records if record.message.startswith("Batch")]
    assert lines == [
        "Batch complete: 100/150 processed, 0 failed, 67% done",
        "Batch complete: 150/150 processed, 0 failed, 100% done",
    ]


async def test_unchanged_notes_cost_no_call_and_no_time(site: Site) -> None:
    await fill(site.resources.db, await owner(site), 1000)
    model = Model()
    harness = with_model(site, model)
    await regenerate(site)
    await harness.run_all()
    assert len(model.calls) == 10

    took = []
    for _ in range(3):
        row = await harness.row(await regenerate(site))
        await harness.run_all()
        row = await harness.row(row.id)
        assert (row.status, row.processed_items, row.total_items) == ("completed", 1000, 1000)
        assert row.completed_at is not None
        assert row.started_at is not None
        took.append((row.completed_at - row.started_at).total_seconds())

    assert len(model.calls) == 10
    assert min(took) <= 1.0


async def test_a_write_is_embedded_in_the_background_and_many_make_one_job(site: Site) -> None:
    model = Model()
    for number in range(20):
        await write(site.alice, f"note {number}")
    assert [row.status for row in await jobs(site)] == ["queued"]
    assert await unembedded(site) == 20

    await hurry(site)
    await with_model(site, model).run_all()

    (row,) = await jobs(site)
    assert (row.status, row.processed_items, row.total_items) == ("completed", 20, 20)
    assert await unembedded(site) == 0

    first = (await site.alice.get("/notes?limit=1")).json()["items"][0]["id"]
    body = {"title": "another", "content": "text"}
    await site.alice.put(f"/notes/{first}", json=body)
    await site.alice.put(f"/notes/{first}", json=body)
    await hurry(site)
    await with_model(site, model).run_all()

    assert [row.processed_items for row in await jobs(site)] == [20, 1]
    assert model.calls[1:] == [["another\ntext"]]


async def test_a_second_run_finds_nothing_to_do(site: Site) -> None:
    who = await owner(site)
    await fill(site.resources.db, who, 3)
    model = Model()
    harness = with_model(site, model)

    rows = [await harness.run(RegenerateEmbeddings(user_id=who)) for _ in range(2)]

    assert [row.processed_items for row in rows] == [3, 0]
    assert len(model.calls) == 1


async def test_a_request_for_all_turns_a_waiting_refresh_into_a_full_one(site: Site) -> None:
    model = Model()
    await fill(site.resources.db, await owner(site), 5)
    await with_model(site, model).run(RegenerateEmbeddings(user_id=await owner(site)))
    await write(site.alice)
    waiting = (await jobs(site))[-1]

    assert await regenerate(site) == waiting.id
    assert await regenerate(site, only_stale=True) == waiting.id
    await hurry(site)
    await with_model(site, model).run_all()

    row = (await jobs(site))[-1]
    assert (row.id, row.status) == (waiting.id, "completed")
    assert (row.processed_items, row.total_items) == (6, 6)  # all, not the stale one alone
    assert [len(call) for call in model.calls] == [5, 1]


async def test_a_request_for_all_makes_a_running_refresh_start_over(site: Site) -> None:
    who = await owner(site)
    await fill(site.resources.db, who, 250)
    asked: list[Any] = []

    async def ask(call: int) -> None:
        if call in (2, 4):  # in the middle of the refresh, and of the full one
            asked.append(await regenerate(site))

    model = Model(before=ask)
    row = await with_model(site, model).run(RegenerateEmbeddings(user_id=who))

    assert asked[0] == row.id
    assert (row.status, row.processed_items, row.total_items) == ("completed", 250, 250)
    assert [len(call) for call in model.calls] == [100, 100, 50]
    answer = await site.admin.get(f"/jobs/{row.id}/events")
    stages = [event["data"] for event in answer.json()["events"] if event["data"]]
    assert stages == [{"stage": "embedding"}, {"stage": "embedding", "restarted": True}]
    assert len(await jobs(site)) == 1


async def test_a_request_finds_the_full_one_at_work(site: Site) -> None:
    await fill(site.resources.db, await owner(site), 150)
    asked: list[Any] = []

    async def ask(call: int) -> None:
        if call == 2:
            asked.extend([await regenerate(site), await regenerate(site, only_stale=True)])

    job_id = await regenerate(site)
    model = Model(before=ask)
    await with_model(site, model).run_all()

    assert asked == [job_id, job_id]
    (row,) = await jobs(site)
    assert (row.status, row.processed_items) == ("completed", 150)
    assert [len(call) for call in model.calls] == [100, 50]  # it did not start over


async def test_what_is_written_while_the_job_works_is_done_by_it(site: Site) -> None:
    """Also what comes with its last batch; and a note that is rewritten keeps no old vector."""
    (first,) = await fill(site.resources.db, await owner(site), 1)

    async def interfere(call: int) -> None:
        if call == 1:
            await site.alice.put(f"/notes/{first}", json={"title": "new", "content": "text"})
        if call == 2:
            await write(site.alice, "late")

    model = Model(before=interfere)
    await regenerate(site)
    await with_model(site, model).run_all()

    assert model.calls == [["n0\nsome text"], ["new\ntext"], ["late\nPaint it."]]
    assert await unembedded(site) == 0
    (row,) = await jobs(site)
    assert (row.status, row.processed_items, row.total_items) == ("completed", 2, 2)


async def test_a_write_that_is_not_committed_holds_the_end_up(site: Site) -> None:
    """Else it would find the job at work, and nobody would do it."""
    who = await owner(site)
    harness = with_model(site, Model())
    job_id = await harness.ask(RegenerateEmbeddings(user_id=who), owner_id=who)
    async with site.resources.db.transaction() as session:
        await store.add(session, who, "slow", "to commit")
        await ask_for_refresh(session, harness.queue, who)
        running = asyncio.create_task(run_all(harness.worker()))
        await asyncio.sleep(0.5)
        assert not running.done()
    await running

    (row,) = await jobs(site)
    assert (row.id, row.status, row.processed_items) == (job_id, "completed", 1)
    assert await unembedded(site) == 0


async def test_a_note_that_fails_is_named_and_stops_no_other(site: Site) -> None:
    await fill(site.resources.db, await owner(site), 4)
    bad = await write(site.alice, "poison")
    model = Model(refused={"poison"})
    harness = with_model(site, model)

    row = await harness.row(await regenerate(site))
    await hurry(site)
    await harness.run_all()

    row = await harness.row(row.id)
    assert (row.status, row.processed_items, row.failed_items) == ("completed", 4, 1)
    named = [{"note_id": bad, "error": "The model will not have it."}]
    assert row.result == {"processed": 4, "failed": 1, "failed_notes": named}
    assert await unembedded(site) == 1

    before = len(model.calls)
    stale = await harness.row(await regenerate(site, only_stale=True))
    await harness.run_all()
    nothing = await harness.row(stale.id)
    assert (len(model.calls), nothing.processed_items) == (before, 0)
    assert nothing.result == {"processed": 0, "failed": 0, "failed_notes": []}  # it tried none

    model.refused.clear()
    again = await regenerate(site)  # all notes: also those that failed
    await harness.run_all()
    assert ((await harness.row(again)).processed_items, await unembedded(site)) == (5, 0)
    assert model.calls[-1] == ["poison\nPaint it."]


async def test_a_model_that_refuses_everything_is_no_notes_fault(site: Site) -> None:
    await fill(site.resources.db, await owner(site), 3)
    model = Model(refused={""})

    job_id = await regenerate(site)
    await with_model(site, model).run_all()

    row = (await jobs(site))[0]
    assert (row.id, row.status, row.error_type) == (job_id, "failed", "embedding_refused")
    assert (row.processed_items, row.failed_items) == (0, 0)


async def test_a_model_that_is_away_is_asked_again_from_the_checkpoint(site: Site) -> None:
    await fill(site.resources.db, await owner(site), 150)

    async def be_away(call: int) -> None:
        if call == 2:
            raise Unavailable("the model does not answer")

    model = Model(before=be_away)
    job_id = await regenerate(site)
    harness = with_model(site, model)
    await harness.run_all()
    row = await harness.row(job_id)
    assert (row.status, row.error_type, row.processed_items) == ("queued", "unavailable", 100)

    async def ended() -> bool:
        await harness.run_all()
        return (await harness.row(job_id)).status == "completed"

    await until(ended)
    assert [len(call) for call in model.calls] == [100, 50, 50]
    assert (await harness.row(job_id)).processed_items == 150


async def test_another_model_makes_every_note_stale(site: Site) -> None:
    who = await owner(site)
    await fill(site.resources.db, who, 3)
    models = [Model(name=name) for name in ("one", "one", "two")]
    for model in models:
        await with_model(site, model).run(RegenerateEmbeddings(user_id=who))
    assert [[len(call) for call in model.calls] for model in models] == [[3], [], [3]]


async def test_a_retry_of_a_cancelled_full_one_goes_on_as_a_full_one(site: Site) -> None:
    await fill(site.resources.db, await owner(site), 150)

    async def cancel(call: int) -> None:
        if call == 2:
            await site.alice.post(f"/jobs/{job_id}/cancel")

    job_id = await regenerate(site)
    model = Model(before=cancel)
    await with_model(site, model).run_all()
    assert [row.status for row in await jobs(site)] == ["cancelled"]
    model.before = None

    await site.alice.post(f"/jobs/{job_id}/retry")
    await with_model(site, model).run_all()

    (row,) = await jobs(site)
    assert (row.status, row.processed_items, row.total_items) == ("completed", 150, 150)


async def test_each_user_has_a_job_of_their_own(site: Site) -> None:
    answers = [
        await client.post("/semantic/regenerate-embeddings") for client in (site.alice, site.bob)
    ]

    ids = [answer.json()["job_id"] for answer in answers]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert len(set(ids)) == 2
    assert (await site.bob.get(f"/jobs/{ids[0]}")).status_code == 404
    wrong = await site.alice.post("/semantic/regenerate-embeddings", json={"only_stale": "yes"})
    assert wrong.status_code == 422
