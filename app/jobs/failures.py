"""What went wrong with an attempt, and when the next one is due."""

import logging
import random
import traceback
from dataclasses import dataclass

from pydantic import ValidationError

from app.core.errors import AppError
from app.core.logging import without_secrets
from app.core.passing import is_outage

log = logging.getLogger("worker")

_TRACE = 8000  # characters of a traceback that are kept: its end says what happened
_LAPSE_BACKOFF = 0.25  # seconds before the second try after a lost worker
# From then on new workers have time to come up: else one suspect goes through all of a host's.
LAPSE_GROWTH = 10.0
_BACKOFF = 1.0  # seconds before the second attempt; doubled with each
_LONGEST_BACKOFF = 300.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt, as the row tells it.

    `spared`: it does not count among the attempts that may fail.
    """

    code: str
    message: str
    trace: str | None = None
    retryable: bool = False
    retry_after: float | None = None
    spared: bool = False

    def retry_in(self, attempt: int, max_attempts: int) -> float | None:
        """Seconds until the next attempt, or None when this was the last."""
        if self.spared:
            return max(backoff(1), self.retry_after or 0.0)
        if not self.retryable or attempt >= max_attempts:
            return None
        return max(backoff(attempt), self.retry_after or 0.0)


def failure_of(error: Exception) -> Failure:
    """A handler's exception as what the row says of it."""
    trace = without_secrets("".join(traceback.format_exception(error)))[-_TRACE:]
    if isinstance(error, AppError):
        return Failure(error.code, str(error), trace, error.retryable, error.retry_after)
    if isinstance(error, ValidationError):
        return Failure("bad_args", "The job's arguments do not fit its kind.", trace)
    if is_outage(error):
        return Failure("unavailable", "The database did not answer.", trace, retryable=True)
    if isinstance(error, OSError):
        why = error.strerror or type(error).__name__
        message = f"The system refused for now: {why}."
        return Failure("unavailable", message, trace, retryable=True)
    log.error("unexpected error in a handler", exc_info=error)
    message = f"Something unexpected happened ({type(error).__name__})."
    return Failure("unexpected", message, trace, retryable=True)


def backoff(attempt: int) -> float:
    """Seconds before the attempt after `attempt`: doubled each time, half of it by chance."""
    longest = min(_LONGEST_BACKOFF, _BACKOFF * 2.0 ** min(20, max(1, attempt) - 1))
    return longest * (0.5 + random.random() / 2)  # noqa: S311 -- jitter, not a secret


def lapse_backoff(lapses: int) -> float:
    """Seconds before a job that lost its worker is tried again."""
    return _LAPSE_BACKOFF * LAPSE_GROWTH ** (lapses - 1) * (0.5 + random.random())  # noqa: S311
