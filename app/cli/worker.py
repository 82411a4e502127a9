"""`headway worker` and `ios-backup-worker`: a worker on either engine."""

import re
from typing import Annotated, Any, Literal

import typer

from app.catalogue import SCHEDULES, registry
from app.cli.output import JsonFlag, ParentOption
from app.cli.supervisor import end_with
from app.core.failpoints import arm
from app.core.logging import configure_logging
from app.core.loops import run, use_everywhere
from app.jobs.worker import Share
from app.settings import Settings, load_settings
from app.worker.database import run_database_worker

app = typer.Typer()
backups_app = typer.Typer()

BACKUPS = "backup_index"
_QUEUE = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_Engine = Annotated[
    Literal["arq", "database"] | None,
    typer.Option(help="Default: arq when REDIS_URL is set and no --kind is given, else database."),
]
_Queues = Annotated[
    list[str] | None,
    typer.Option("--queue", metavar="NAME", help="Default: QUEUE_NAME on arq, else all queues."),
]
_Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind", metavar="KIND", help="Only jobs of this kind; the database engine only."
    ),
]
_Concurrency = Annotated[
    int | None, typer.Option(min=1, max=10_000, help="Jobs at once. Default: ARQ_MAX_JOBS.")
]
_Burst = Annotated[bool, typer.Option("--burst", help="End when nothing is left to do.")]


@app.command()
def worker(
    engine: _Engine = None,
    queue: _Queues = None,
    kind: _Kinds = None,
    concurrency: _Concurrency = None,
    burst: _Burst = False,
    as_json: JsonFlag = False,
    parent: ParentOption = None,
) -> None:
    """Start a worker. SIGTERM: it hands its jobs back and ends with 0. With --json its log is JSON."""
    queues, kinds = _checked(queue or (), kind or ())
    settings = _settings(concurrency, as_json)
    arq_by_default = settings.redis_url is not None and not kinds
    if (engine or ("arq" if arq_by_default else "database")) == "database":
        _work_from_table(settings, queues, kinds, burst=burst, parent=parent)
        return
    if kinds:
        raise typer.BadParameter("the arq engine takes whole queues; use --engine database")
    if len(queues) > 1:
        raise typer.BadParameter("the arq engine serves one queue; start a worker for each")
    if queues:
        settings = settings.model_copy(update={"queue_name": queues[0]})
    _work_for_redis(settings, burst=burst)


@backups_app.command()
def backups(
    concurrency: _Concurrency = None, burst: _Burst = False, as_json: JsonFlag = False
) -> None:
    """Start a worker that indexes backups and nothing else; it claims them from the table."""
    _queues, kinds = _checked((), (BACKUPS,))
    _work_from_table(_settings(concurrency, as_json), (), kinds, burst=burst, parent=None)


def _checked(
    queues: "tuple[str, ...] | list[str]", kinds: "tuple[str, ...] | list[str]"
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names, each once. Raises a usage error for one that cannot be."""
    for name in queues:
        if not _QUEUE.fullmatch(name):
            raise typer.BadParameter(f"{name!r} is not a queue's name")
    known = registry()
    for name in kinds:
        if name not in known:
            raise typer.BadParameter(f"no job is of kind {name!r}; there are: {', '.join(known)}")
    return tuple(dict.fromkeys(queues)), tuple(dict.fromkeys(kinds))


def _settings(concurrency: int | None, as_json: bool) -> Settings:
    changes: dict[str, Any] = {} if concurrency is None else {"arq_max_jobs": concurrency}
    changes |= {"log_format": "json"} if as_json else {}
    return load_settings().model_copy(update=changes)


def _work_from_table(
    settings: Settings,
    queues: tuple[str, ...],
    kinds: tuple[str, ...],
    *,
    burst: bool,
    parent: int | None,
) -> None:
    configure_logging(level=settings.log_level, json_lines=settings.json_logs)
    arm(settings.failpoint)
    if parent is not None:
        end_with(parent)
    share = Share(engine="database", queues=queues, kinds=kinds, max_jobs=settings.arq_max_jobs)
    run(run_database_worker(settings, share, burst=burst))


def _work_for_redis(settings: Settings, *, burst: bool) -> None:
    """What the command `arq` does with `app.worker.tasks.WorkerSettings`."""
    from arq.worker import run_worker  # noqa: PLC0415 -- the other engine does without

    from app.jobs.engines.arq_worker import arq_settings  # noqa: PLC0415

    use_everywhere()
    chosen = type("WorkerSettings", (), arq_settings(settings, registry(), SCHEDULES))
    run_worker(chosen, burst=burst)
