"""The database: one engine, and one way to open a transaction.

`columns.py` has the types that both databases share, `sqlite.py` what SQLite needs, `hot.py` the
short way past the session for the few statements that decide the pace, `passing.py` which errors
are worth another try.
"""

import os
import secrets
import sqlite3
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    DDL,
    MetaData,
    event,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase

from app.core.folding import POSTGRESQL
from app.core.hot import PostgresTrips, SqliteTrips, hot_path
from app.core.passing import patiently
from app.core.sqlite import BUSY_SECONDS, prepare, take_writer_lock

T = TypeVar("T")
Hook = Callable[[], Awaitable[None] | None]

PROCESS = f"headway-{os.getpid()}-{secrets.token_hex(4)}"
_HOOKS = "after_commit"
# A host that freezes or dies in the middle of a transaction would keep its locks for hours.
_IDLE_MS = "10000"
_UNDO_SECONDS = 0.02  # between two looks for what a blocked loop has open


class Base(DeclarativeBase):
    """Declarative base; constraint names are derived so that migrations can drop them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# Where tables are made without the migrations: what text indexes of any domain are made with.
event.listen(
    Base.metadata,
    "before_create",
    DDL(POSTGRESQL.replace("%", "%%")).execute_if(dialect="postgresql"),  # type: ignore[no-untyped-call]
)


class Database:
    """Owns the connection pool. Built once per process, in a composition root."""

    def __init__(self, url: str, *, pool_size: int = 10, application: str = PROCESS) -> None:
        """Create the pool lazily; no connection is opened until the first transaction.

        `application` is how PostgreSQL's own views name the connections.
        """
        self.url = database_url(url)
        self._turn = threading.Lock()  # to take the writer's lock of SQLite
        self._opened: weakref.WeakSet[Any] = weakref.WeakSet()
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        options: dict[str, Any] = {
            "json_serializer": _dumps,
            "json_deserializer": msgspec.json.decode,
        }
        if self.is_sqlite:
            thread = {"check_same_thread": False}  # for `letting_go`
            options |= {"connect_args": {"timeout": BUSY_SECONDS} | thread, "pool_size": 5}
        else:
            options |= {"pool_size": pool_size, "max_overflow": 5}
            options["connect_args"] = {"timeout": 5, "command_timeout": 60}
            options["connect_args"]["server_settings"] = {
                "application_name": application,
                "idle_in_transaction_session_timeout": _IDLE_MS,
            }
        self.engine = create_async_engine(self.url, **options)
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", self._prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", self._begin_sqlite)
            event.listen(self.engine.sync_engine, "invalidate", _undo_sqlite)
        else:
            event.listen(self.engine.sync_engine, "checkout", _replace_lost)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        dsn = "" if self.is_sqlite else asyncpg_dsn(self.url)
        self.hot: PostgresTrips | SqliteTrips = hot_path(self.url, dsn, application, self._turn)

    @property
    def safe_url(self) -> str:
        """The address without its password, for people."""
        return self.url.render_as_string(hide_password=True)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """Open one transaction: commit at the end, roll back on any exception.

        Hooks left with `after_commit` run once the commit is durable, in order; after a
        rollback they are dropped. On SQLite the transaction holds the writer's lock from its
        first statement (BEGIN IMMEDIATE), so keep other waits out of it.
        """
        async with self._sessions() as session:
            async with session.begin():
                yield session
            # Before the connection goes back: on SQLite that is another hop to its thread.
            for hook in session.info.pop(_HOOKS, []):
                pending = hook()
                if pending is not None:
                    await pending

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncSession]:
        """Open a transaction that only reads; on SQLite it takes no writer's lock."""
        async with self._sessions() as session:
            await session.connection(execution_options={"headway_read": True})
            yield session

    async def run(
        self, work: Callable[[AsyncSession], Awaitable[T]], *, patience: float = 30.0
    ) -> T:
        """Run `work` in a transaction, again and again while what stops it is passing.

        Args:
            work: called with a new session each time; it must not keep what it was given.
            patience: seconds after which the last error is raised.
        """

        async def once() -> T:
            async with self.transaction() as session:
                return await work(session)

        return await patiently(once, patience)

    @contextmanager
    def letting_go(self) -> Iterator[None]:
        """From a thread, while the loop is blocked for good: keep SQLite's lock from it.

        The open transaction of a blocked loop would keep the writer's lock from everybody, and
        one of its connections that waits for the lock takes it as soon as another is undone: so
        whatever is open is undone again and again while the block lasts. On PostgreSQL a session
        ends another's (see `app.jobs.last_words`).
        """
        done = threading.Event()

        def undo() -> None:
            while not done.is_set():
                for connection in list(self._opened):
                    raw = getattr(connection, "_conn", None)  # aiosqlite shows it nowhere else
                    if raw is not None:
                        with suppress(sqlite3.Error):
                            raw.rollback()
                done.wait(_UNDO_SECONDS)

        undoing = threading.Thread(target=undo, name="letting go", daemon=True)
        undoing.start()
        try:
            yield
        finally:
            done.set()
            undoing.join()

    def _prepare_sqlite(self, connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        prepare(connection)
        self._opened.add(connection.driver_connection)

    def _begin_sqlite(self, connection: Any) -> None:
        lite = connection.connection.dbapi_connection
        if connection.get_execution_options().get("headway_read", False):
            lite.run_async(lambda raw: raw.execute_fetchall("BEGIN"))
        else:  # aiosqlite has no public way to run a function in the connection's thread
            lite.run_async(
                lambda raw: raw._execute(take_writer_lock, raw._conn, self._turn)  # noqa: SLF001
            )

    async def close(self) -> None:
        """Return every connection. The object is unusable afterwards."""
        await self.hot.close()
        await self.engine.dispose()


def after_commit(session: AsyncSession, hook: Hook) -> None:
    """Run `hook` after the transaction of `session` has committed, never after a rollback."""
    session.info.setdefault(_HOOKS, []).append(hook)


def on_sqlite(session: AsyncSession) -> bool:
    """Whether `session` speaks to SQLite."""
    return session.get_bind().dialect.name == "sqlite"


async def driver(session: AsyncSession) -> Any:
    """The raw driver connection (asyncpg or aiosqlite), inside the session's own transaction."""
    connection: AsyncConnection = await session.connection()
    raw: Any = (await connection.get_raw_connection()).driver_connection
    if connection.dialect.name == "postgresql" and not raw.is_in_transaction():
        # SQLAlchemy begins with its first statement; a COPY before that would commit by itself.
        await connection.exec_driver_sql("SELECT 1")
    return raw


async def fetch(session: AsyncSession, sql: str, values: Mapping[str, Any]) -> list[Any]:
    """Run hand-written SQL (`:name` placeholders) in the session's transaction; its rows.

    On SQLite this is one hop to the connection's thread, where SQLAlchemy makes four; values
    and rows are then SQLite's own (text and numbers).
    """
    if not on_sqlite(session):
        return list((await session.execute(text(sql), dict(values))).all())
    connection = await session.connection()
    raw: Any = (await connection.get_raw_connection()).driver_connection
    try:
        return list(await raw.execute_fetchall(sql, values))
    except sqlite3.Error as error:
        raise DBAPIError.instance(sql, None, error, sqlite3.Error) from error


def database_url(address: str) -> URL:
    """Parse `address`, with the async driver filled in.

    `postgresql://`, `postgres://` and `sqlite:///` are accepted as they stand, and
    `?host=/socket/dir` too.
    """
    url = make_url(address)
    backend = url.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+asyncpg")
    if backend == "sqlite":
        return url.set(drivername="sqlite+aiosqlite")
    raise ValueError(f"{backend} is not a database that Headway runs on")


def asyncpg_dsn(url: URL) -> str:
    """The same address for asyncpg itself."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _replace_lost(connection: Any, _record: Any, _fairy: Any) -> None:
    # A server that went away has closed its connections, and the driver knows without asking:
    # a ping would be one more round trip for every transaction.
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _undo_sqlite(connection: Any, _record: Any, _error: Any) -> None:
    # A statement whose task was cancelled leaves its cursor alive, and a closed connection keeps
    # the writer's lock for as long as that cursor lives: so undo first, then close.
    if connection is not None:
        with suppress(ValueError):  # it is closed already
            connection.run_async(lambda raw: raw.rollback())
            connection.run_async(lambda raw: raw.close())


def _dumps(value: Any) -> str:
    return msgspec.json.encode(value).decode()
