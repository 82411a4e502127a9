"""/healthz, /readyz, /metrics and /workers: what operators and their machines ask."""

import asyncio
import hmac
import logging
import time
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import text

from app.api import metrics
from app.api.accepted import answer
from app.api.deps import AdminDep, ServicesDep, SessionDep
from app.api.examples import Answers, example
from app.api.schemas import problems
from app.api.services import Services
from app.core.errors import Unauthorized
from app.jobs.store import workers
from app.jobs.store.workers import ALIVE_SECONDS

router = APIRouter(tags=["operations"])
log = logging.getLogger(__name__)

_DATABASE_SECONDS = 2.0
_REDIS_SECONDS = 1.0
_MIGRATIONS_SECONDS = 5.0  # for which an up-to-date schema is believed to stay so

_PAGE: Answers = {
    200: {"content": {"text/plain": {"example": 'headway_queue_depth{queue="default"} 0.0'}}}
}
_READY = {"status": "ready", "database": "ok", "migrations": "ok", "delivery": "ok", "workers": 2}
_WORKER = {
    "id": "host:boot:ns:123:456",
    "host": "host",
    "engine": "database",
    "queues": ["default"],
    "kinds": ["backup_index", "ingest_extract"],
    "max_jobs": 10,
    "running": 3,
    "started_at": "2026-11-21T09:00:00.000000Z",
    "last_seen_at": "2026-11-21T09:30:00.000000Z",
}


@router.get("/healthz", summary="Is the process up?", responses=example({"status": "ok"}))
async def healthz() -> Response:
    """Always 200 while the process answers; it looks at nothing else."""
    return answer({"status": "ok"})


@router.get(
    "/readyz",
    summary="Can it serve?",
    responses=example(_READY) | example(_READY | {"status": "unready"}, 503),
)
async def readyz(services: ServicesDep) -> Response:
    """503 only for the database or its migrations.

    Without Redis `delivery` is `degraded`: jobs are accepted and reach the workers through the
    database. Missing workers are reported and never a failure.
    """
    database, delivery = await asyncio.gather(_database(services), _delivery(services))
    ready = database["database"] == database["migrations"] == "ok"
    body = {"status": "ready" if ready else "unready", **database, "delivery": delivery}
    headers = {} if ready else {"Retry-After": "1"}
    return answer(body, status=200 if ready else 503, headers=headers)


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses=_PAGE | problems(401),
)
async def scrape(request: Request, services: ServicesDep) -> Response:
    """Prometheus's text format; with METRICS_TOKEN set it has to be sent as bearer."""
    wanted = services.resources.settings.metrics_token
    if wanted is not None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        expected = wanted.get_secret_value().encode()
        right = hmac.compare_digest(given.strip().encode("latin-1", "replace"), expected)
        if scheme.lower() != "bearer" or not right:
            raise Unauthorized("metrics need METRICS_TOKEN as bearer")
    return Response(await services.metrics.text(), media_type=metrics.MEDIA_TYPE)


@router.get(
    "/workers",
    summary="List live workers",
    responses=example({"workers": [_WORKER], "total": 1}) | problems(403),
)
async def list_workers(_admin: AdminDep, session: SessionDep) -> Response:
    """Workers seen in the last seconds, oldest first."""
    listed = await workers.shown(session, ALIVE_SECONDS)
    return answer({"workers": listed, "total": len(listed)})


async def _database(services: Services) -> dict[str, Any]:
    found: dict[str, Any] = {"database": "away", "migrations": "unknown", "workers": None}
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            async with services.resources.db.reading() as session:
                await session.execute(text("SELECT 1"))
            found["database"] = "ok"
            found["migrations"] = await _missing(services) or "ok"
            async with services.resources.db.reading() as session:
                found["workers"] = len(await workers.alive(session, ALIVE_SECONDS))
    except Exception as error:  # noqa: BLE001 -- whatever it is, the answer is "not ready"
        log.warning("not ready", extra={"error": repr(error)[:300]})
    return found


async def _missing(services: Services) -> str | None:
    if time.monotonic() < services.migrated_until:
        return None
    missing = await services.pending(services.resources.db)
    if missing is None:
        services.migrated_until = time.monotonic() + _MIGRATIONS_SECONDS
    return missing


async def _delivery(services: Services) -> str:
    if services.ping is None:
        return "ok"
    try:
        async with asyncio.timeout(_REDIS_SECONDS):
            await services.ping()
    except Exception as error:  # noqa: BLE001 -- redis-py has a tree of its own
        log.warning("Redis away", extra={"error": repr(error)[:300]})
        return "degraded"
    return "ok"
