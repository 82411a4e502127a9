"""Token reservations over HTTP: set tokens aside, settle, look at a day's totals."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api.accepted import answer
from app.api.deps import OnceDep, ReadDep, SessionDep, UserDep, owner_of
from app.api.schemas import EXAMPLE_ID, problems
from app.usage import store

router = APIRouter(prefix="/workspaces/{name}", tags=["usage"])

_MOST = 10**12  # tokens; sums of it stay far from the end of a 64-bit integer
_Name = Annotated[
    str,
    Path(
        pattern=r"^[^/\x00-\x1f\x7f]{1,100}$",
        description="a name of the caller's own; another user's workspace of that name is another",
        examples=["research"],
    ),
]


class NewReservation(BaseModel):
    """How many tokens to set aside."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"tokens": 4000}})

    tokens: int = Field(ge=1, le=_MOST, strict=True)


class Settlement(BaseModel):
    """How many tokens were used in the end."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"tokens_used": 3170}})

    tokens_used: int = Field(ge=0, le=_MOST, strict=True)


class Reserved(BaseModel):
    """Tokens are set aside."""

    reservation_id: UUID = Field(examples=[EXAMPLE_ID])


class Settled(BaseModel):
    """A settled reservation; every further settlement is answered with the first one."""

    reservation_id: UUID = Field(examples=[EXAMPLE_ID])
    workspace: str
    day: date
    status: str = Field(examples=["settled"])
    tokens: int
    tokens_used: int


class DayUsage(BaseModel):
    """One day (UTC) of a workspace; `tokens_reserved` is the sum of what is held."""

    workspace: str
    day: date
    tokens_used: int
    tokens_reserved: int


@router.post("/reservations", status_code=201, response_model=Reserved, responses=problems(409))
async def reserve(
    name: _Name, body: NewReservation, session: SessionDep, user: UserDep, once: OnceDep
) -> Response:
    """Set tokens aside for today; they are freed by themselves after RESERVATION_TTL_SECONDS."""

    async def work() -> Response:
        reservation_id = await store.reserve(session, user.id, name, body.tokens)
        return answer({"reservation_id": reservation_id}, status=201)

    return await once.answer(session, body.model_dump(), work)


@router.post("/reservations/{reservation_id}/settle", response_model=Settled,
             responses=problems(404, 409))  # fmt: skip
async def settle(
    name: _Name,
    reservation_id: UUID,
    body: Settlement,
    session: SessionDep,
    user: UserDep,
    once: OnceDep,
) -> Response:
    """Count the tokens that were used, and free the reservation. Twice is once."""

    async def work() -> Response:
        row = await store.settle(session, reservation_id, owner_of(user), name, body.tokens_used)
        body_out = {
            "reservation_id": row.id,
            "workspace": row.workspace,
            "day": row.day,
            "status": row.status,
            "tokens": row.tokens,
            "tokens_used": row.tokens_used,
        }
        return answer(body_out)

    return await once.answer(session, body.model_dump(), work)


@router.get("/usage")
async def usage(
    name: _Name,
    session: ReadDep,
    user: UserDep,
    day: Annotated[date | None, Query(description="UTC; today when it is not given")] = None,
) -> DayUsage:
    """What the workspace has used and reserved on one day; an admin sees all users' sum."""
    found = await store.usage(session, owner_of(user), name, day)
    return DayUsage(
        workspace=name,
        day=found.day,
        tokens_used=found.tokens_used,
        tokens_reserved=found.tokens_reserved,
    )
