"""Jobs on notes and reminders."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Unavailable
from app.jobs.context import JobContext
from app.jobs.queue import JobQueue
from app.jobs.spec import Change, JobArgs, job
from app.jobs.store.insert import Stored
from app.mail import Line, LogMailer, Outcome
from app.notes import embeddings, reminder_rows
from app.notes.models import Channel, ReminderStatus
from app.notes.regeneration import Regeneration
from app.notes.reminders import Due, mail_of, verdict

log = logging.getLogger("worker")

_LAST_SECONDS = 5.0  # for which a worker that stops waits for the answer to the message under way

Lines = Mapping[str, Line]


_REFRESH_AFTER = timedelta(seconds=1)  # writes that come together make one job


# ---------------------------------------------------------------------------------- embeddings


class RegenerateEmbeddings(JobArgs, kind="embedding_regeneration"):
    """Embed the stale notes of one user; all of them, if that is asked of this job."""

    user_id: UUID

    def unique_key(self) -> str:
        """One at a time, however many writes and requests there are."""
        return str(self.user_id)


async def ask_for_refresh(session: AsyncSession, queue: JobQueue, owner_id: UUID) -> None:
    """Have the owner's stale notes embedded soon. Call it in the transaction of the write."""
    moment = await embeddings.pass_gate(session, owner_id)
    args = RegenerateEmbeddings(user_id=owner_id)
    await queue.enqueue(session, args, owner_id=owner_id, run_after=moment + _REFRESH_AFTER)


async def ask_for_regeneration(
    session: AsyncSession, queue: JobQueue, owner_id: UUID, *, only_stale: bool
) -> Stored:
    """Have the owner's notes embedded: the job that will do so, which may be at work already.

    A refresh that waits or runs becomes the job for all notes, if all are asked for.
    """
    await embeddings.pass_gate(session, owner_id)
    args = RegenerateEmbeddings(user_id=owner_id)
    stored = await queue.enqueue(session, args, owner_id=owner_id)
    if not only_stale:
        await embeddings.ask_for_all(session, owner_id, stored.id)
    return stored


@job(function="regenerate_embeddings_arq", max_attempts=5)
async def regenerate_embeddings(ctx: JobContext, args: RegenerateEmbeddings) -> None:
    """Embed notes in batches: the stale ones, or all of those that have no vector of their text.

    Whether all are asked for is looked up before each batch; then a refresh starts over. A retry
    goes on after the last batch. A second run finds every vector up to date and asks the model
    nothing. A note that the model refuses is counted as failed, keeps the reason, and is asked
    for again when its text or the model changes, or when all notes are.
    """
    await Regeneration(ctx, args.user_id).run()


# ----------------------------------------------------------------------------------- reminders


class SendReminders(JobArgs, kind="reminder_dispatch", priority=5):
    """Send every reminder whose time has come."""

    def lane(self) -> str:
        """One run at a time, so that only one message can ever be in doubt."""
        return "reminders"


async def let_go(session: AsyncSession, change: Change) -> None:
    """Take back what a job had under way that has ended, however it ended."""
    if change.status.ended:
        await reminder_rows.take_back(session, change.job_id)


@job(function="check_and_send_reminders", max_attempts=5, maintenance=True, on_change=let_go)
async def send_reminders(ctx: JobContext, _args: SendReminders) -> dict[str, Any]:
    """Send due reminders, the longest due first, each of them once.

    One message is under way at a time. Each step notes what became of the last one and claims
    the next, so a lost worker leaves at most one of which nobody knows whether it was sent. A
    second run, and every retry, takes that one back, marks it `maybe_sent_twice` and sends it
    again, byte for byte; of the others each is sent once.
    """
    async with ctx.step(stage="looking") as step:
        await reminder_rows.take_back(step.session, ctx.job_id)
    async with ctx.resources.db.reading() as session:
        total = ctx.processed + ctx.failed + await reminder_rows.count_due(session, ctx.job_id)
    if not total:
        return await _summary(ctx)
    async with ctx.step(total=total, stage="sending") as step:
        due = await reminder_rows.claim(step.session, ctx.job_id, tuple(Channel))
    async with AsyncExitStack() as stack:
        lines: dict[str, Line] = {
            Channel.EMAIL: await stack.enter_async_context(ctx.resources.mailer.line()),
            Channel.LOG: await stack.enter_async_context(LogMailer().line()),
        }
        dead: Unavailable | None = None
        while (taken := due) is not None:
            try:
                due = await _send_one(ctx, taken, lines, total)
            except Unavailable as error:
                dead = error
                del lines[taken.channel]  # the others need not wait for this one
                due = await _give_up_line(ctx, taken, lines)
    if dead is not None:
        raise dead
    return await _summary(ctx)


async def _send_one(ctx: JobContext, due: Due, lines: Lines, total: int) -> Due | None:
    """Send one reminder and note what became of it; the next one, claimed in the same step.

    Raises:
        Unavailable: it was not handed over, and no other will be by this channel.
    """
    sending = asyncio.create_task(lines[due.channel].send(mail_of(due)))
    stopped: asyncio.CancelledError | None = None
    try:
        outcome = await asyncio.shield(sending)
    except asyncio.CancelledError as stop:
        outcome, stopped = await _last_answer(sending, stop), stop
    found = verdict(outcome, due.tries)
    total = max(total, ctx.processed + ctx.failed + 1)
    async with ctx.step(total=total) as step:
        await reminder_rows.record(step.session, due.id, ctx.job_id, found)
        step.advance(
            int(found.status is ReminderStatus.SENT),
            failed=int(found.status is ReminderStatus.FAILED),
        )
        following = None
        if stopped is None:
            following = await reminder_rows.claim(step.session, ctx.job_id, _channels(lines))
    if stopped is not None:
        raise stopped
    return following


async def _last_answer(sending: asyncio.Task[Outcome], stop: asyncio.CancelledError) -> Outcome:
    """The answer to a message under way, if it comes soon; else leave with `stop`."""
    await asyncio.wait([sending], timeout=_LAST_SECONDS)
    if not sending.done() or sending.cancelled() or sending.exception() is not None:
        sending.cancel()
        raise stop
    return sending.result()


async def _give_up_line(ctx: JobContext, due: Due, lines: Lines) -> Due | None:
    """Let a reminder wait whose line is dead, and go on with those of the other channels."""
    async with ctx.step() as step:
        await reminder_rows.put_back(step.session, due.id, ctx.job_id)
        return await reminder_rows.claim(step.session, ctx.job_id, _channels(lines))


def _channels(lines: Lines) -> tuple[Channel, ...]:
    return tuple(channel for channel in Channel if channel in lines)


async def _summary(ctx: JobContext) -> dict[str, Any]:
    async with ctx.resources.db.reading() as session:
        waiting = await reminder_rows.count_tried(session, ctx.job_id)
    facts = {"affected": ctx.processed, "failed": ctx.failed, "waiting": waiting}
    if any(facts.values()):
        log.info("reminders: %d sent, %d failed, %d to be tried again", *facts.values())
    return facts
