"""What answers look like, for the documentation. The problem's renderer is `problems.py`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

EXAMPLE_ID = "019aa7c2-5c1f-7b52-9d3e-3f8f6f0f2a11"


class FieldProblem(BaseModel):
    """One field that is wrong."""

    pointer: str = Field(examples=["#/query/limit"])
    field: str = Field(examples=["limit"])
    detail: str = Field(examples=["Input should be less than or equal to 200"])


class Problem(BaseModel):
    """An error as RFC 9457 has it."""

    type: str = Field(examples=["/problems/not_found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no such job"])
    instance: str = Field(examples=[f"/jobs/{EXAMPLE_ID}"])
    code: str = Field(examples=["not_found"])
    request_id: str = Field(examples=["6f2b1c0de4a94c7a"])
    errors: list[FieldProblem] | None = None


class Accepted(BaseModel):
    """Work was asked for; the row is committed."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "message": "The job is queued.",
                "status": "queued",
                "task_id": EXAMPLE_ID,
                "job_id": EXAMPLE_ID,
            }
        },
    )

    message: str
    status: str
    task_id: str
    job_id: str


_REASONS = {
    401: "No token, or not a live one",
    403: "This token may not do this",
    404: "It does not exist, or is another user's",
    409: "Its present state forbids this, or the same Idempotency-Key is at work",
    413: "The body is too large",
    415: "Not a kind of content that is read here",
    422: "The request makes no sense, or its Idempotency-Key was used for another one",
    429: "Over a limit; try again after Retry-After",
    503: "The database does not answer; try again after Retry-After",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its `responses`.

    Every route gets 401, 422 and 503 without asking, every POST 409 and 413 besides.
    """
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {s: {"description": _REASONS.get(s, "Refused"), "content": content} for s in statuses}


def starts_work(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a route that starts work: 202, and the errors it may have."""
    taken = {
        "model": Accepted,
        "description": "The work is stored; follow it at Location",
        "headers": {
            "Location": {"description": "the job", "schema": {"type": "string"}},
            "Retry-After": {"description": "seconds", "schema": {"type": "integer"}},
        },
    }
    return {202: taken} | problems(409, 429, *statuses)
