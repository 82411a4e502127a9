"""What an error means to the person at the terminal: one line and an exit code."""

import logging
import sqlite3

import asyncpg
from sqlalchemy.exc import DBAPIError

from app.core.errors import AppError, Invalid, NotFound, TooMany, Unauthorized, Unavailable
from app.core.logging import without_secrets
from app.core.passing import is_passing

log = logging.getLogger(__name__)

FAILED, USAGE, CANCELLED, UNREACHABLE, OUR_MISTAKE = 1, 2, 3, 4, 70
_CODES: dict[type[AppError], int] = {
    Invalid: USAGE,
    Unauthorized: USAGE,
    NotFound: UNREACHABLE,
    Unavailable: UNREACHABLE,
    TooMany: UNREACHABLE,
}
NO_TABLES = "the database has no tables yet, or older ones: run `headway db upgrade`"


def explain(error: Exception) -> tuple[str, int]:
    """The line for stderr, without secrets, and the exit code."""
    if isinstance(error, AppError):
        codes = (code for kind, code in _CODES.items() if isinstance(error, kind))
        return one_line(error), next(codes, FAILED)
    if lacks_tables(error):
        return NO_TABLES, UNREACHABLE
    if isinstance(_raw(error), sqlite3.Error):
        return f"the database says: {said_by_driver(error)}", UNREACHABLE
    if is_away(error):
        return f"the database does not answer: {one_line(_raw(error))}", UNREACHABLE
    if isinstance(error, OSError):
        return one_line(error), FAILED
    log.debug("unexpected error", exc_info=error)
    return f"unexpected {type(error).__name__}: {one_line(error)}", OUR_MISTAKE


def one_line(error: BaseException) -> str:
    """What the error says, in one line that is not too long and names no password."""
    said = " ".join(str(error).split()) or type(error).__name__
    return without_secrets(said)[:300]


def said_by_driver(error: BaseException) -> str:
    """What the driver says, without the statement and the link that SQLAlchemy adds."""
    return one_line(_raw(error))


def lacks_tables(error: BaseException) -> bool:
    """Whether a table or a column is missing."""
    raw = _raw(error)
    missing = getattr(raw, "sqlstate", None) in ("42P01", "42703")
    return missing or "no such table" in str(raw) or "no such column" in str(raw)


def is_away(error: BaseException) -> bool:
    """Whether the database cannot be reached or opened."""
    raw = _raw(error)
    if isinstance(raw, asyncpg.PostgresError):
        # No such database, no such user, wrong password: the address is wrong.
        return is_passing(raw) or (raw.sqlstate or "")[:2] in ("28", "3D")
    return isinstance(raw, ConnectionError | TimeoutError | asyncpg.InterfaceError) or (
        isinstance(error, DBAPIError) and is_passing(error)
    )


def _raw(error: BaseException) -> BaseException:
    """The driver's own error below SQLAlchemy's."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return error
    return error.orig.__cause__ or error.orig
