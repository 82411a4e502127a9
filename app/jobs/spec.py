"""How a job is declared: an args class (what is asked) and a handler (what is done).

    class ExtractDocument(JobArgs, kind="ingest_extract"):
        document_id: UUID

        def lane(self) -> str:
            return f"document:{self.document_id}"

    @job(function="ingest_extract", max_attempts=5)
    async def extract_document(ctx: JobContext, args: ExtractDocument) -> dict[str, Any]: ...

The args class is all that a caller needs to import. The decorator describes and does not
register: the jobs a worker knows are listed in one place, `app.catalogue.JOBS`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_type_hints
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from app.jobs.states import JobStatus

if TYPE_CHECKING:
    from app.jobs.context import JobContext
    from app.resources import Resources


class JobArgs(BaseModel):
    """What a job is asked to do. JSON in the row, so only ids and plain values, never objects.

    The policy of asking sits here: `priority` (higher first), `lane` (one at a time, in order)
    and `unique_key` (while an equal job is queued or running, asking again finds that one).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    priority: ClassVar[int] = 0

    def __init_subclass__(cls, *, kind: str, priority: int = 0, **kwargs: Any) -> None:
        """Name the job: `kind` is stored in the row, so it must never change."""
        super().__init_subclass__(**kwargs)
        cls.kind, cls.priority = kind, priority

    def lane(self) -> str | None:
        """The lane in which these jobs run one after another, or None."""
        return None

    def unique_key(self) -> str | None:
        """What makes an equal job, or None when every request is its own."""
        return None


@dataclass(frozen=True, slots=True)
class Change:
    """A job that has just come to stand in `status`, told to its kind's hook.

    `event` is the audit trail's word for what happened (`jobs/states.py`); `parent_id` is set on
    a child job. `worker` is who moved it, or from whom it was taken; None for people. `facts` are
    what the kind's `on_lost` found.
    """

    job_id: UUID
    kind: str
    status: JobStatus
    event: str
    args: Mapping[str, Any]
    owner_id: UUID | None
    parent_id: UUID | None
    error_type: str | None
    error_message: str | None
    worker: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Leftover:
    """A running job whose worker is, or may be, gone."""

    job_id: UUID
    args: Mapping[str, Any]


A = TypeVar("A", bound=JobArgs)
Handler = Callable[["JobContext", A], Awaitable[dict[str, Any] | None]]
Hook = Callable[[AsyncSession, Change], Awaitable[None]]
Inspect = Callable[["Resources", Leftover], Awaitable[Mapping[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Job(Generic[A]):
    """A handler and its running rules. Calling it calls the handler, so tests need nothing else.

    `on_change` moves the domain's own status in the transaction that moves the job. In a request
    `session.info["user"]` is the person who asks (`app.api.deps`); in a worker there is none.
    `on_cancel_request` is told, likewise, that a running job was asked to stop.
    `releasable` jobs are handed back at once when their worker stops; the others may finish
    within SHUTDOWN_GRACE_SECONDS, and are handed back then. `on_lost` is asked before a job is
    taken from a worker that is gone: facts for the audit trail and the hook, or None while
    something of the job is still at work on this host; then it is asked again.
    `maintenance` jobs are forgotten after a day. `secret` jobs may have a sealed secret, which
    goes in the transaction that ends them.
    """

    args_type: type[A]
    handler: Handler[A]
    function: str
    timeout: timedelta | None
    max_attempts: int
    on_change: Hook | None = None
    on_cancel_request: Hook | None = None
    on_lost: Inspect | None = None
    releasable: bool = True
    maintenance: bool = False
    secret: bool = False

    @property
    def kind(self) -> str:
        """The stored name of this job."""
        return self.args_type.kind

    async def __call__(self, ctx: "JobContext", args: A) -> dict[str, Any] | None:
        """Run the handler in this task, with no queue, row or retry around it."""
        return await self.handler(ctx, args)


def job(
    *,
    function: str,
    timeout: timedelta | None = None,
    max_attempts: int = 1,
    on_change: Hook | None = None,
    on_cancel_request: Hook | None = None,
    on_lost: Inspect | None = None,
    releasable: bool = True,
    maintenance: bool = False,
    secret: bool = False,
) -> Callable[[Handler[A]], Job[A]]:
    """Describe the decorated coroutine as a job; its second parameter names the args class.

    Args:
        function: its name on ARQ; released names never change.
        timeout: of one attempt; None means ARQ_JOB_TIMEOUT, which is also the ceiling.
        max_attempts: how many attempts may fail; a lost worker or a stop uses none up. With one,
            only a person starts the job again, and a lost worker ends it.
        on_change: see `Job`.
        on_cancel_request: see `Job`.
        on_lost: see `Job`.
        releasable: see `Job`.
        maintenance: see `Job`.
        secret: see `Job`; needs `on_change`, because the short way to an end tells nobody.
    """

    def describe(handler: Handler[A]) -> Job[A]:
        hints = {name: hint for name, hint in get_type_hints(handler).items() if name != "return"}
        args_type = hints[list(hints)[1]]
        followed = (on_change, on_cancel_request, on_lost)
        rules = (*followed, releasable, maintenance, secret)
        return Job(args_type, handler, function, timeout, max_attempts, *rules)

    if secret and on_change is None:
        raise ValueError(f"{function} may have a secret, so it needs on_change")

    return describe


class Registry(Mapping[str, Job[Any]]):
    """The jobs that a process knows, by kind."""

    def __init__(self, jobs: Iterable[Job[Any]]) -> None:
        """Index `jobs`; a kind or a function given twice is a programming error."""
        listed = list(jobs)
        self._jobs = {job.kind: job for job in listed}
        if len({job.function for job in listed}) != len(listed) or len(self._jobs) != len(listed):
            raise ValueError("two jobs share a kind or a function")

    def __getitem__(self, kind: str) -> Job[Any]:
        return self._jobs[kind]

    def __iter__(self) -> Any:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)
