"""Examples and schemas for the documentation of /jobs, whose answers are not pydantic models."""

from typing import Any

from app.api.schemas import EXAMPLE_ID, problems

JOB: dict[str, Any] = {
    "job_id": EXAMPLE_ID,
    "job_type": "embedding_regeneration",
    "queue": "default",
    "status": "running",
    "progress_percent": 67,
    "total_items": 150,
    "processed_items": 100,
    "failed_items": 0,
    "stage": "embedding",
    "message": None,
    "eta_seconds": 12.5,
    "items_per_second": 8.0,
    "attempt": 1,
    "max_attempts": 3,
    "lane": None,
    "priority": 0,
    "parent_id": None,
    "created_at": "2026-11-21T09:30:00.000000Z",
    "scheduled_at": None,
    "started_at": "2026-11-21T09:30:00.412000Z",
    "heartbeat_at": "2026-11-21T09:30:12.900000Z",
    "completed_at": None,
    "cancel_requested": False,
    "error_type": None,
    "error_message": None,
    "result": None,
}
EVENT: dict[str, Any] = {
    "seq": 4711,
    "at": "2026-11-21T09:30:00.412000Z",
    "kind": "started",
    "attempt": 1,
    "worker": "host:boot:ns:123:456",
    "data": None,
}

Answers = dict[int | str, dict[str, Any]]  # what FastAPI takes as `responses`

_STATUS = {"type": "string", "enum": ["queued", "running", "completed", "failed", "cancelled"]}
_INTEGERS = ("total_items",)
_NUMBERS = ("eta_seconds", "items_per_second")
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def _field(name: str, value: Any) -> dict[str, Any]:
    if name == "status":
        return _STATUS
    if name in ("result", "data"):
        return {"description": "any JSON"}
    kind = _TYPES.get(type(value), "string")
    timed = {"format": "date-time"} if name.endswith("_at") or name == "at" else {}
    needed = value is not None and name not in (*_INTEGERS, *_NUMBERS, "stage", "worker")
    needed = needed and name not in ("started_at", "heartbeat_at")
    return {"type": kind if needed else [kind, "null"], **timed}


def _schema(example: dict[str, Any]) -> dict[str, Any]:
    properties = {name: _field(name, value) for name, value in example.items()}
    return {"type": "object", "required": list(example), "properties": properties}


def _listed(name: str, item: dict[str, Any]) -> Answers:
    schema = {
        "type": "object",
        "required": [name, "total"],
        "properties": {
            name: {"type": "array", "items": _schema(item)},
            "total": {"type": "integer"},
        },
    }
    return {200: _json(schema, {name: [item], "total": 1})}


def _json(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "example": example}}
    return {"description": "Successful Response", "content": content}


JOBS = _listed("jobs", JOB)
EVENTS = _listed("events", EVENT)
_TAG = {"ETag": {"description": "the row's version", "schema": {"type": "string"}}}


def example(body: Any, status: int = 200) -> Answers:
    """An answer whose schema is `any object`, with an example."""
    return {status: _json({"type": "object"}, body)}


def job_operation() -> dict[str, Any]:
    """The operation of the bare route GET /jobs/{job_id}."""
    uuid = {"type": "string", "format": "uuid"}
    seconds = {"type": "number", "minimum": 0, "maximum": 30}
    return {
        "tags": ["jobs"],
        "summary": "Watch a job",
        "operationId": "get_job",
        "description": "Where the job stands. With `wait`, answers at the next change: of the "
        "state named by `If-None-Match`, or else of the state at arrival.",
        "parameters": [
            {"name": "job_id", "in": "path", "required": True, "schema": uuid},
            {"name": "wait", "in": "query", "required": False, "schema": seconds},
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
            },
        ],
        "responses": {
            "200": _json(_schema(JOB), JOB) | {"headers": _TAG},
            "304": {"description": "Nothing has changed", "headers": _TAG},
        },
    }


_EVENTS = """retry: 1000

event: job
id: 7
data: {"job_id": "…", "status": "running", "progress_percent": 67, …}

event: job
id: 9
data: {"job_id": "…", "status": "completed", "progress_percent": 100, …}

event: end
data: {"status": "completed"}
"""


def stream_operation() -> dict[str, Any]:
    """The operation of the bare route GET /jobs/{job_id}/stream."""
    uuid = {"type": "string", "format": "uuid"}
    text = {"schema": {"type": "string"}, "example": _EVENTS}
    answers = {"200": {"description": "Events", "content": {"text/event-stream": text}}}
    return {
        "tags": ["jobs"],
        "summary": "Stream a job",
        "operationId": "stream_job",
        "description": "Server-Sent Events: the present state, then every change, at most four a "
        "second; `id` is the row's version, and a client that comes back with `Last-Event-ID` is "
        "not told again what it knows. `event: end` follows the last state. GET /jobs/stream is "
        "the same for all of the caller's jobs and never ends.",
        "parameters": [
            {"name": "job_id", "in": "path", "required": True, "schema": uuid},
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
            },
        ],
        "responses": answers | {str(status): each for status, each in problems(429).items()},
    }
