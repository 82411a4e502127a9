"""The API's description: FastAPI's own, with what it cannot know put in."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.examples import job_operation, stream_operation
from app.api.schemas import Problem, problems

_OPEN = ("/healthz", "/readyz", "/metrics")
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same request under the same key is done once; kept for 48 hours",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_METHODS = ("get", "put", "post", "delete", "patch")
_FASTAPI_ERRORS = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1 of every route, the bare one too; made once."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _FASTAPI_ERRORS:
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {})
    schemas["Problem"] = problem
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["paths"].setdefault("/jobs/{job_id}", {})["get"] = job_operation()
    # GET /jobs/stream is described there: what tries every operation out would hang in it.
    document["paths"].setdefault("/jobs/{job_id}/stream", {})["get"] = stream_operation()
    for path, method, operation in operations(document):
        _complete(path, method, operation)
    app.openapi_schema = document
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of everything in an OpenAPI document."""
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Add the answers that every route may give."""
    answers = operation.setdefault("responses", {})
    answers.pop("422", None)
    if path in _OPEN:
        wanted = [] if path == "/healthz" else [503]
    else:
        operation.setdefault("security", [{"token": []}])
        wanted = [401, 422, 503]
        wanted += [404] if "{" in path else []
    if method in ("post", "put", "patch"):
        wanted += [413]
    if method == "post":
        wanted += [409]
        known = {p.get("name") for p in operation.get("parameters", [])}
        if _KEY["name"] not in known:
            operation.setdefault("parameters", []).append(_KEY)
    for status, response in problems(*wanted).items():
        answers.setdefault(str(status), response)
