"""The catalogue names every job there is, under the names that the outside knows."""

import ast
import importlib
from pathlib import Path
from typing import Any

import app
from app.catalogue import JOBS, SCHEDULES, registry
from app.jobs.spec import Job

APP = Path(app.__file__).parent
OUTSIDE = {  # kind: function on ARQ. Tests that are not in this repository call these.
    "backup_index": "index_backup",
    "ingest_extract": "ingest_extract",
    "ingest_index": "ingest_index",
    "embedding_regeneration": "regenerate_embeddings_arq",
    "reminder_dispatch": "check_and_send_reminders",
    "reservation_cleanup": "cleanup_stale_reservations",
    "build": "run_build",
    "deployment": "run_deployment",
}


def room_of_jobs(path: Path) -> bool:
    """Whether jobs may be declared there: `jobs.py` of a domain, and the job core's own."""
    return path.name == "jobs.py" or path.parent == APP / "jobs"


def modules() -> list[Path]:
    return [path for path in sorted(APP.rglob("*.py")) if "__pycache__" not in path.parts]


def declared() -> list[Job[Any]]:
    """Every `Job` that a module for jobs defines or imports, each once."""
    found: dict[int, Job[Any]] = {}
    for path in filter(room_of_jobs, modules()):
        parts = path.relative_to(APP.parent).with_suffix("").parts
        module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        found |= {id(value): value for value in vars(module).values() if isinstance(value, Job)}
    return list(found.values())


def decorates_a_job(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    calls = [part.func for part in node.decorator_list if isinstance(part, ast.Call)]
    return any(isinstance(call, ast.Name) and call.id == "job" for call in calls)


def test_every_job_is_in_the_catalogue_once() -> None:
    assert sorted(job.kind for job in JOBS) == sorted(job.kind for job in declared())
    assert {id(job) for job in JOBS} == {id(job) for job in declared()}


def test_jobs_are_declared_in_the_rooms_for_jobs_only() -> None:
    for path in modules():
        if any(map(decorates_a_job, ast.walk(ast.parse(path.read_text())))):
            assert room_of_jobs(path), path


def test_names_that_the_outside_knows_are_paired_as_agreed() -> None:
    kinds = {job.kind: job.function for job in JOBS}
    functions = {job.function: job.kind for job in JOBS}
    for kind, function in OUTSIDE.items():
        assert kinds.get(kind, function) == function
        assert functions.get(function, kind) == kind


def test_every_job_says_what_it_does() -> None:
    for job in JOBS:
        assert job.handler.__doc__, job.kind
        assert job.args_type.__doc__, job.kind


def test_schedules_ask_for_jobs_of_the_catalogue() -> None:
    known = registry()
    for schedule in SCHEDULES:
        assert schedule.args().kind in known
        assert all(0 <= minute < 60 for minute in schedule.minutes)
