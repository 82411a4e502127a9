"""All SQL on the tables of builds and deployments: the session first, nobody here commits."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.columns import now
from app.core.db import on_sqlite
from app.core.errors import Conflict, NotFound
from app.releases.build_log import HEAD, Piece, Write
from app.releases.models import (
    AuditLine,
    Build,
    BuildArtifact,
    BuildOutput,
    Deployment,
    Environment,
    ReleaseStatus,
)

Entity = Build | Deployment
E = TypeVar("E", Build, Deployment)

_ROWS = 1000  # per INSERT


# -------------------------------------------------------------------------------- asking


async def add_build(session: AsyncSession, build: Build) -> None:
    """Insert a build that waits for its job."""
    values = {"id": build.id, "recipe": build.recipe, "ref": build.ref}
    await session.execute(insert(Build).values(**values, **_asked(build)))


async def add_deployment(session: AsyncSession, deployment: Deployment) -> None:
    """Insert a deployment that waits for its job, and its environment if that is new.

    Raises:
        NotFound: no such build.
        Conflict: the build has not succeeded.
    """
    build = await one(session, Build, deployment.build_id)
    if build.status != ReleaseStatus.SUCCEEDED:
        raise Conflict(f"the build is {build.status}, not succeeded", code="build_not_succeeded")
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    place = dialect.insert(Environment).values(name=deployment.environment)
    await session.execute(place.on_conflict_do_nothing())
    values = {
        "id": deployment.id,
        "build_id": deployment.build_id,
        "environment": deployment.environment,
    }
    await session.execute(insert(Deployment).values(**values, **_asked(deployment)))


def _asked(entity: Entity) -> dict[str, Any]:
    return {
        "status": ReleaseStatus.PENDING,
        "job_id": entity.job_id,
        "requested_by": entity.requested_by,
        "created_at": now(),
    }


# ------------------------------------------------------------------------------- reading


async def one(session: AsyncSession, table: type[E], entity_id: UUID) -> E:
    """A build or a deployment. Raises `NotFound`."""
    statement = select(table).where(table.id == entity_id)
    found: E | None = await session.scalar(statement.execution_options(populate_existing=True))
    if found is None:
        raise NotFound(f"there is no such {table.__name__.lower()}")
    return found


async def newest(
    session: AsyncSession, table: type[E], *, limit: int, offset: int
) -> tuple[list[E], int]:
    """One part of the builds or deployments, newest first, and how many there are in all."""
    total = await session.scalar(select(func.count()).select_from(table))
    rows = await session.scalars(
        select(table).order_by(table.id.desc()).limit(limit).offset(offset)
    )
    return list(rows), total or 0


async def artifacts(session: AsyncSession, build_id: UUID) -> list[BuildArtifact]:
    """What a build has made, by path."""
    statement = select(BuildArtifact).where(BuildArtifact.build_id == build_id)
    return list(await session.scalars(statement.order_by(BuildArtifact.path)))


async def output(session: AsyncSession, build_id: UUID) -> list[Piece]:
    """What is kept of a build's output, in order."""
    statement = select(BuildOutput.position, BuildOutput.content).where(
        BuildOutput.build_id == build_id
    )
    rows = (await session.execute(statement.order_by(BuildOutput.position))).all()
    return [Piece(row.position, row.content) for row in rows]


async def environment_names(session: AsyncSession) -> list[str]:
    """The environments to which something was ever to be deployed."""
    return list(await session.scalars(select(Environment.name).order_by(Environment.name)))


async def deployments_by_sequence(
    session: AsyncSession, live: Mapping[str, int]
) -> dict[str, UUID]:
    """The deployments that drew these sequences, by environment."""
    statement = select(Deployment.environment, Deployment.sequence, Deployment.id).where(
        Deployment.environment.in_(live), Deployment.sequence.in_(live.values())
    )
    rows = (await session.execute(statement)).all()
    return {row.environment: row.id for row in rows if live[row.environment] == row.sequence}


async def ongoing_jobs(session: AsyncSession) -> set[UUID]:
    """The jobs of everything that is under way."""
    found: set[UUID] = set()
    for job_id, status in ((Build.job_id, Build.status), (Deployment.job_id, Deployment.status)):
        statement = select(job_id).where(status == ReleaseStatus.ONGOING)
        found |= set(await session.scalars(statement))
    return found


# -------------------------------------------------------------------------------- moving


async def move(session: AsyncSession, table: type[E], entity_id: UUID, **values: Any) -> None:
    """Set columns of a build or a deployment."""
    statement = update(table).where(table.id == entity_id).values(**values)
    await session.execute(statement.execution_options(synchronize_session=False))


async def draw_sequence(session: AsyncSession, environment: str) -> int:
    """The next number of a run in `environment`: higher than that of every run before."""
    statement = (
        update(Environment)
        .where(Environment.name == environment)
        .values(last_sequence=Environment.last_sequence + 1)
        .returning(Environment.last_sequence)
    )
    return (await session.execute(statement)).scalar_one()


async def catch_up(session: AsyncSession, environment: str, last_run: int) -> bool:
    """Go on after `last_run`, which the folder knows, if no run here ever had so high a number.

    That is so when the database was made anew or restored; False: it was this database's run.
    """
    behind = (Environment.name == environment, Environment.last_sequence < last_run)
    statement = update(Environment).where(*behind).values(last_sequence=last_run)
    found = await session.scalar(statement.returning(Environment.name))
    return found is not None


async def forget_output(session: AsyncSession, build_id: UUID) -> None:
    """Remove what an earlier run of the build has printed and made."""
    for table in (BuildOutput, BuildArtifact):
        await session.execute(delete(table).where(table.build_id == build_id))


async def add_output(session: AsyncSession, build_id: UUID, write: Write) -> None:
    """Store output, and forget what lies between its beginning and its end."""
    rows = [
        {"build_id": build_id, "position": piece.position, "content": piece.content}
        for piece in write.pieces
    ]
    # A step that was cancelled may have been committed: then its piece comes again, grown.
    dialect: Any = sqlite if on_sqlite(session) else postgresql
    into = dialect.insert(BuildOutput).values(rows)
    key = ["build_id", "position"]
    await session.execute(
        into.on_conflict_do_update(index_elements=key, set_={"content": into.excluded.content})
    )
    statement = delete(BuildOutput).where(
        BuildOutput.build_id == build_id,
        BuildOutput.position >= HEAD,
        BuildOutput.position + func.length(BuildOutput.content) <= write.forget_before,
    )
    await session.execute(statement)


async def add_artifacts(
    session: AsyncSession, build_id: UUID, manifest: Sequence[Mapping[str, Any]]
) -> None:
    """Store what a build has made: maps of path, size_bytes, sha256 and executable."""
    for start in range(0, len(manifest), _ROWS):
        rows = [{"build_id": build_id, **each} for each in manifest[start : start + _ROWS]]
        await session.execute(insert(BuildArtifact), rows)
    size = sum(each["size_bytes"] for each in manifest)
    await move(session, Build, build_id, artifact_count=len(manifest), artifact_bytes=size)


# --------------------------------------------------------------------------------- audit


async def audit(
    session: AsyncSession,
    entity_type: str,
    entity_id: UUID,
    action: str,
    *,
    worker: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Add a line to the audit trail; in a request it names the person who asks."""
    user = session.info.get("user")
    values = {
        "at": now(),
        "entity_type": entity_type,
        "entity_id": entity_id,
        "action": action,
        "actor_id": None if user is None else user.id,
        "actor": None if user is None else user.name,
        "worker": worker,
        "data": None if data is None else dict(data),
    }
    await session.execute(insert(AuditLine).values(**values))


async def audit_lines(
    session: AsyncSession,
    entity_type: str | None,
    entity_id: UUID | None,
    *,
    limit: int,
    offset: int,
) -> tuple[list[AuditLine], int]:
    """One part of the audit trail, oldest first, and how many lines there are in all."""
    wanted = []
    if entity_type is not None:
        wanted.append(AuditLine.entity_type == entity_type)
    if entity_id is not None:
        wanted.append(AuditLine.entity_id == entity_id)
    total = await session.scalar(select(func.count()).select_from(AuditLine).where(*wanted))
    statement = select(AuditLine).where(*wanted).order_by(AuditLine.seq)
    return list(await session.scalars(statement.limit(limit).offset(offset))), total or 0
