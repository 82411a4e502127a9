"""What operators and their machines ask."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app.chaos.servers import Valkey, free_port
from app.core.db import Database
from app.main import Parts
from tests.api.conftest import JOBS, Api, OpenApi, ask, router

_NAMES = {
    "headway_jobs",
    "headway_queue_depth",
    "headway_queue_oldest_seconds",
    "headway_job_duration_seconds",
    "headway_job_pickup_seconds",
    "headway_jobs_recovered",
    "headway_lease_lost",
    "headway_workers",
}


async def test_probes_are_open(api: Api) -> None:
    stranger = api.client()

    assert (await stranger.get("/healthz")).json() == {"status": "ok"}
    assert (await stranger.get("/readyz")).json() == {
        "status": "ready",
        "database": "ok",
        "migrations": "ok",
        "workers": 0,
        "delivery": "ok",
    }


async def test_missing_migrations_are_not_ready(open_api: OpenApi) -> None:
    async def behind(db: Database) -> str | None:
        return "at 1, newest is 2"

    parts = Parts(registry=JOBS, routers=[router], pending=behind)
    async with open_api(parts) as api:
        answer = await api.client().get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (503, "unready")
    assert answer.json()["migrations"] == "at 1, newest is 2"


async def test_without_redis_it_is_ready_and_degraded(open_api: OpenApi, valkey: Valkey) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    async with open_api(redis_url=away) as api:
        ann = await api.user("ann")
        ready = await ann.get("/readyz")
        accepted = await ann.post("/counts", json={"items": 1})
    async with open_api(redis_url=valkey.url) as api:
        with_redis = await api.client().get("/readyz")

    assert (ready.status_code, ready.json()["delivery"]) == (200, "degraded")
    assert accepted.status_code == 202
    assert accepted.elapsed.total_seconds() < 0.3
    assert with_redis.json()["delivery"] == "ok"


async def test_metrics_tell_queues_and_ends(api: Api, ann: httpx.AsyncClient) -> None:
    await ask(ann)
    waiting = await metrics_of(api.client())
    await api.jobs.run_all()
    await ask(ann, fail=True)
    await api.jobs.run_all()
    async with api.jobs.on_shift():
        done = await metrics_of(api.client())
        again = await metrics_of(api.client())

    queued = {"status": "queued", "job_type": "count", "queue": "default"}
    completed = queued | {"status": "completed"}
    assert value(waiting, "headway_jobs", queued) == 1
    assert value(waiting, "headway_queue_depth", {"queue": "default"}) == 1
    assert value(waiting, "headway_queue_oldest_seconds", {"queue": "default"}) >= 0
    assert value(done, "headway_jobs", completed) == value(again, "headway_jobs", completed) == 1
    assert value(done, "headway_jobs", queued | {"status": "failed"}) == 1
    assert value(done, "headway_queue_depth", {"queue": "default"}) == 0
    assert value(done, "headway_job_pickup_seconds_count", {"job_type": "count"}) == 2
    ended = {"job_type": "count", "status": "completed"}
    assert value(again, "headway_job_duration_seconds_count", ended) == 1
    assert value(done, "headway_workers", {}) == 1
    assert set(done) == _NAMES


async def test_metrics_may_need_a_token(open_api: OpenApi) -> None:
    async with open_api(metrics_token="s3cret") as api:
        refused = await api.client().get("/metrics")
        wrong = await api.bearer("s3cre").get("/metrics")
        right = await api.bearer("s3cret").get("/metrics")

    assert (refused.status_code, wrong.status_code, right.status_code) == (401, 401, 200)
    assert right.headers["content-type"].startswith("text/plain; version=0.0.4")


Found = dict[str, dict[tuple[str, frozenset[tuple[str, str]]], float]]


async def metrics_of(client: httpx.AsyncClient) -> Found:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    return {
        family.name: {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for sample in family.samples
        }
        for family in text_string_to_metric_families(answer.text)
        if not family.name.endswith("_created")
    }


def value(found: Found, name: str, labels: dict[str, str]) -> float:
    wanted = (name, frozenset(labels.items()))
    return next(samples[wanted] for samples in found.values() if wanted in samples)
