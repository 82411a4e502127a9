"""An application that knows the faults' jobs: `uvicorn --factory tests.faults.served:application`.

Its one route of its own asks for a `Write`; `/jobs` and the probes are the service's.
"""

import logging

from fastapi import APIRouter, FastAPI, Response

from app.api.accepted import accepted
from app.api.deps import OnceDep, QueueDep, SessionDep, UserDep
from app.core.db import Database
from app.core.failpoints import arm
from app.core.logging import configure_logging
from app.main import Parts, create_app
from app.settings import load_settings
from tests.faults.jobs import Write, registry

router = APIRouter(prefix="/writes")


@router.post("", status_code=202)
async def start(
    args: Write, session: SessionDep, user: UserDep, once: OnceDep, queue: QueueDep
) -> Response:
    async def work() -> Response:
        stored = await queue.enqueue(session, args, owner_id=user.id)
        return accepted(stored, "It is written.")

    return await once.answer(session, args.model_dump(mode="json"), work)


async def up_to_date(_db: Database) -> str | None:
    """The tables of a test are made without migrations."""
    return None


def application() -> FastAPI:
    settings = load_settings()
    configure_logging(level=settings.log_level, json_lines=True)
    logging.getLogger("uvicorn.access").disabled = True
    arm(settings.failpoint)
    return create_app(
        settings, parts=Parts(registry=registry(), routers=[router], pending=up_to_date)
    )
