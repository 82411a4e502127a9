"""What the workers of the model test hold in their hands, and all that they can write."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from app.jobs.context import JobContext, LeaseLost
from app.jobs.failures import Failure
from app.jobs.ledger import Ledger
from app.jobs.store import steps
from app.jobs.store.claim import Claim
from app.jobs.store.moves import Ending
from tests.jobs.tables import LEASE, QUEUES, REGISTRY, do_item

# Two that take everything, and one that knows less and looks into one queue.
WORKERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ann": (QUEUES, tuple(REGISTRY)),
    "bob": (QUEUES, tuple(REGISTRY)),
    "cat": (("default",), ("plain", "hooked")),
}


@dataclass(frozen=True)
class Handle:
    """A claim in the hands of a worker. It may no longer stand."""

    worker: str
    claim: Claim
    ctx: JobContext


Write = Callable[[Ledger, Handle], Coroutine[Any, Any, object]]


async def stored_step(_ledger: Ledger, handle: Handle) -> bool:
    try:
        await do_item(handle.ctx)
    except LeaseLost:
        return False
    return True


def ending(handle: Handle) -> Ending:
    return Ending(handle.claim.id, handle.claim.lease_token, {"done": True})


def failure(retry_in: float | None) -> Write:
    broken = Failure("broken", "It broke.")
    return lambda ledger, handle: ledger.fail(handle.claim, broken, retry_in=retry_in)


def renewal(ledger: Ledger, handle: Handle) -> Coroutine[Any, Any, object]:
    held = {handle.claim.id: handle.claim.lease_token}
    return ledger.db.run(lambda session: steps.renew(session, held, LEASE))


# What each gives to a worker that has lost the job is nothing: False, or an empty collection.
WRITES: dict[str, Write] = {
    "step": stored_step,
    "renew": renewal,
    "complete": lambda ledger, handle: ledger.complete([ending(handle)]),
    "complete at once": lambda ledger, handle: ledger.complete_at_once([ending(handle)]),
    "fail": failure(None),
    "fail for now": failure(0.0),
    "release": lambda ledger, handle: ledger.release(handle.claim),
    "cancelled": lambda ledger, handle: ledger.cancelled(handle.claim),
}
