"""One deployment: files placed and verified, the switch, the health check, the way back."""

import asyncio
import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, ParamSpec, TypeVar

from app.blobs import Blobs
from app.core.errors import AppError, Conflict, Invalid
from app.core.failpoints import failpoint
from app.jobs.context import JobCancelled, JobContext, LeaseLost
from app.releases import store
from app.releases.building import BLOBS
from app.releases.models import Build, BuildArtifact, Deployment
from app.releases.progress import shown_line
from app.releases.recipes import Recipe
from app.releases.running import Command, guarded, to_the_end
from app.releases.switching import EnvironmentFolder, Locked, Release, Superseded, sync

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_LOCK_SECONDS = 10.0
_STEP_SECONDS = 0.25
_CHUNK = 4 << 20
_OUTPUT_BYTES = 4096  # of the end of a health check's output


async def put_live(
    ctx: JobContext,
    deployment: Deployment,
    build: Build,
    manifest: Sequence[BuildArtifact],
    recipe: Recipe,
    folder: EnvironmentFolder,
    home: Path,
) -> dict[str, Any]:
    """Make the build live in the environment's folder; the job's result.

    Raises `Invalid` when a file is not what the manifest says or the health check fails, and
    `Superseded` when a later run has begun.
    """
    async with ctx.step(total=len(manifest), stage="placing", restart=ctx.total is not None):
        pass
    sequence, previous = await _enter(ctx, deployment, folder)
    release = Release(sequence, build.id)
    await _Placing(ctx, ctx.resources.blobs.under(BLOBS)).all_of(
        manifest, folder.folder_of(release)
    )
    async with ctx.step(stage="switching"):  # raises when this worker was taken for dead
        pass
    await failpoint("before_switch")
    try:
        await _locked(folder.switch, release)
        await failpoint("after_switch")
        await _check(ctx, build, recipe, folder.folder_of(release), home)
    except LeaseLost:
        raise  # whoever holds it now decides
    except BaseException as error:
        await to_the_end(_roll_back(ctx, deployment, folder, release, previous, error))
        raise
    await _prune(folder, release, recipe.keep)
    return {
        "deployment_id": str(deployment.id),
        "release": release.name,
        "previous": None if previous is None else previous.name,
    }


async def _enter(
    ctx: JobContext, deployment: Deployment, folder: EnvironmentFolder
) -> tuple[int, Release | None]:
    """Begin the run; its number, and what is live before it. Raises `Superseded`."""
    assert deployment.sequence is not None  # drawn when the job was claimed
    try:
        return deployment.sequence, await _locked(folder.enter, deployment.sequence)
    except Superseded:
        last = await asyncio.to_thread(folder.last_run)
        async with ctx.step() as step:
            if not await store.catch_up(step.session, deployment.environment, last):
                raise
            sequence = await store.draw_sequence(step.session, deployment.environment)
            await store.move(step.session, Deployment, deployment.id, sequence=sequence)
    return sequence, await _locked(folder.enter, sequence)


async def _check(ctx: JobContext, build: Build, recipe: Recipe, release: Path, home: Path) -> None:
    """Run the recipe's health check in the release's folder. Raises `Invalid` when it fails."""
    async with ctx.step(stage="checking"):
        pass
    if recipe.health_check is None:
        return
    command = Command(
        recipe.health_check, home, release, recipe.variables(build.ref), recipe.disk_bytes
    )
    output, limit = b"", asyncio.timeout(recipe.health_timeout)
    try:
        async with limit, guarded(command, lambda: ctx.lease_ends) as running:
            await failpoint("in_health_check")
            while content := await running.read():
                output = (output + content)[-_OUTPUT_BYTES:]
            ended = await running.ended()
        ended.check("The health check")
    except TimeoutError as error:
        if not limit.expired():
            raise
        message = f"The health check took more than its {recipe.health_timeout:g} s."
        raise Invalid(message, code="health_check_failed") from error
    except Invalid as error:
        lines = [shown for line in output.splitlines() if (shown := shown_line(line))]
        said = f" It said: {lines[-1]}" if lines else ""
        raise Invalid(f"{error}{said}", code="health_check_failed") from error


async def _prune(folder: EnvironmentFolder, release: Release, keep: int) -> None:
    """Remove old releases. The new one is live and sound: from here on nothing undoes that."""
    try:
        await _locked(folder.prune, release.sequence, keep)
    except (OSError, Conflict) as error:
        log.warning("old releases not removed", extra={"error": repr(error)[:300]})
    except asyncio.CancelledError:
        pass  # asked to stop too late: the job completes


async def _locked(act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do something under the environment's lock, in a thread; wait for the lock if need be."""
    deadline = asyncio.get_running_loop().time() + _LOCK_SECONDS
    while True:
        try:
            return await to_the_end(asyncio.to_thread(act, *args, **kwargs))
        except Locked:
            if asyncio.get_running_loop().time() > deadline:
                raise


async def _roll_back(
    ctx: JobContext,
    deployment: Deployment,
    folder: EnvironmentFolder,
    release: Release,
    previous: Release | None,
    why: BaseException,
) -> None:
    """Make the previous release live again, unless this run has been overtaken or was lost.

    The release that was no good goes: it shall not take the place of one that was.
    """
    try:
        rolled_back = await _locked(folder.roll_back, release, previous)
        await _locked(folder.discard, release)
    except Superseded:
        if isinstance(why, Superseded):
            return
        rolled_back, action = True, "rollback_refused"
        message = "A later run has begun, so this one changed nothing more."
    else:
        action, message = "rolled_back", "The previous release is live again."
    if not rolled_back:
        return
    reason = why.code if isinstance(why, AppError) else "stopped"
    data = {"from": release.name, "to": previous.name if previous else None, "reason": reason}
    with suppress(JobCancelled):
        async with ctx.step(stage=action, message=message) as step:
            about = ("deployment", deployment.id, action)
            await store.audit(step.session, *about, worker=ctx.worker_id, data=data)


class _Placing:
    """Copies blobs into a release's folder, each verified against the manifest."""

    def __init__(self, ctx: JobContext, blobs: Blobs) -> None:
        self._ctx, self._blobs = ctx, blobs
        self._waiting = 0  # files that no step has told of
        self._told_at = 0.0

    async def all_of(self, manifest: Sequence[BuildArtifact], final: Path) -> None:
        """Place all files; the folder appears under its name when it is whole and on disk."""
        part = final.with_name(f".{final.name}.part")
        try:
            await self._fill(manifest, part, final)
        except BaseException:
            await to_the_end(asyncio.to_thread(shutil.rmtree, part, True))
            raise

    async def _fill(self, manifest: Sequence[BuildArtifact], part: Path, final: Path) -> None:
        await asyncio.to_thread(shutil.rmtree, part, True)
        await asyncio.to_thread(part.mkdir, 0o755)
        folders = {part}
        for artifact in manifest:
            path = PurePosixPath(artifact.path)
            if path.is_absolute() or ".." in path.parts:
                raise Invalid(f"{artifact.path!r} is no place for a file.", code="bad_manifest")
            target = part / path
            folders |= {part / each for each in path.parents}
            await self._one(artifact, target)
            await self._tell(1)
        await self._tell(0, at_once=True)
        await to_the_end(asyncio.to_thread(_finish, part, final, folders))

    async def _one(self, artifact: BuildArtifact, target: Path) -> None:
        digest, size = hashlib.sha256(), 0
        try:
            async with self._blobs.path(artifact.sha256) as source:
                await asyncio.to_thread(target.parent.mkdir, 0o755, True, True)
                with source.open("rb") as read, target.open("xb") as written:
                    while content := await asyncio.to_thread(read.read, _CHUNK):
                        digest.update(content)
                        size += len(content)
                        await asyncio.to_thread(written.write, content)
                    written.flush()
                    os.fchmod(written.fileno(), 0o755 if artifact.executable else 0o644)
                    await asyncio.to_thread(os.fsync, written.fileno())
        except FileNotFoundError as error:
            raise Invalid(
                f"{artifact.path!r} is gone from the blob store.", code="blob_missing"
            ) from error
        if (digest.hexdigest(), size) != (artifact.sha256, artifact.size_bytes):
            raise Invalid(f"{artifact.path!r} is not what was built.", code="bad_manifest")

    async def _tell(self, count: int, *, at_once: bool = False) -> None:
        self._waiting += count
        moment = asyncio.get_running_loop().time()
        if self._waiting and (at_once or moment - self._told_at > _STEP_SECONDS):
            async with self._ctx.step() as step:
                step.advance(self._waiting)
            self._waiting, self._told_at = 0, moment


def _finish(part: Path, final: Path, folders: set[Path]) -> None:
    for folder in (*folders, part):
        sync(folder)
    part.rename(final)
    sync(final.parent)
