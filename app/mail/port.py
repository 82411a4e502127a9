"""What sending a message means to whoever asks for it."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Mail:
    """A message to one person. The same mail is the same bytes, however often it is sent.

    `key` makes the Message-ID, `date` the Date: both belong to the message, not to the try.
    """

    key: str
    to: str
    subject: str
    text: str
    date: datetime


class Fate(Enum):
    """What became of one try."""

    SENT = auto()  # the other side has taken it over
    REFUSED = auto()  # it never will
    LATER = auto()  # not now; nothing was taken over
    UNSURE = auto()  # the answer did not come: it may have been taken over


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fate of one try, and the reason in the other side's words where it was not sent."""

    fate: Fate
    reason: str | None = None


class Line(Protocol):
    """One connection; it carries one message at a time."""

    async def send(self, mail: Mail) -> Outcome:
        """Send one message and wait for the answer.

        Raises:
            Unavailable: there is no server to be had; the message was not handed over.
        """
        ...


class Mailer(Protocol):
    """Where messages go."""

    def line(self) -> AbstractAsyncContextManager[Line]:
        """A line of one's own; it connects when its first message is sent."""
        ...
