"""The rules of reminders: who may be written to, what is written, and what a try's outcome means."""

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.core.errors import Invalid
from app.mail import Fate, Mail, Outcome
from app.notes.models import ReminderStatus

TRIES = 5  # outcomes that are not "sent" before a reminder has failed; one per run
_ADDRESS = re.compile(r"[!#-'*+\-./-9=?A-Z^-~]{1,64}@(?=.{1,189}\Z)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_SUBJECT = 100  # characters


@dataclass(frozen=True, slots=True)
class Due:
    """A reminder that its job has under way."""

    id: UUID
    message: str
    channel: str
    recipient: str | None
    tries: int
    dated_at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reminder becomes after a try, and whether the try may have been a delivery."""

    status: ReminderStatus
    reason: str | None = None
    unsure: bool = False


def is_address(text: str) -> bool:
    """Whether `text` is one plain ASCII address, `name@host`, and nothing that splits a header."""
    return _ADDRESS.fullmatch(text) is not None


def check_recipient(recipient: str, allowed: str | None) -> None:
    """Let a person write to `recipient`. Raises `Invalid`.

    Args:
        recipient: an address.
        allowed: a pattern that the whole address must fit; None: any may be written to.
    """
    if allowed is not None and re.fullmatch(allowed, recipient) is None:
        detail = "MAIL_ALLOWED does not include this address"
        wrong = {"pointer": "#/body/recipient", "field": "recipient", "detail": detail}
        raise Invalid(detail, code="recipient_not_allowed", errors=[wrong])


def mail_of(due: Due) -> Mail:
    """The message of a reminder; the same at every try."""
    first = " ".join(due.message.split())
    subject = first if len(first) <= _SUBJECT else first[: _SUBJECT - 1] + "…"
    return Mail(
        key=f"reminder-{due.id}",
        to=due.recipient or "",
        subject=f"Reminder: {''.join(c for c in subject if c.isprintable())}",
        text=due.message + "\n",
        date=due.dated_at,
    )


def verdict(outcome: Outcome, tries_before: int) -> Verdict:
    """What follows from the outcome of a try: sent, failed for good, or another try in a later run."""
    if outcome.fate is Fate.SENT:
        return Verdict(ReminderStatus.SENT)
    last = outcome.fate is Fate.REFUSED or tries_before + 1 >= TRIES
    status = ReminderStatus.FAILED if last else ReminderStatus.PENDING
    return Verdict(status, outcome.reason, unsure=outcome.fate is Fate.UNSURE)
