"""One build: the recipe at work, its output in the log, its artifacts in the blob store."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.core.errors import Invalid
from app.core.passing import OUTAGE_PATIENCE, is_passing, patiently
from app.jobs.context import JobCancelled, JobContext
from app.releases import store
from app.releases.artifacts import Found, find_artifacts, open_artifact
from app.releases.build_log import BuildLog
from app.releases.models import Build
from app.releases.progress import Progress
from app.releases.recipes import Recipe
from app.releases.running import Command, Running, guarded, to_the_end

BLOBS = "builds"  # the part of the blob store that is ours
OUTPUT_BYTES = 64 << 20  # that a recipe may print

_STEP_SECONDS = 0.25  # between two looks at the output
_LAST_WORDS_SECONDS = 0.5  # for what a cancelled recipe had printed
_CHUNK = 1 << 20


async def make(ctx: JobContext, build: Build, recipe: Recipe, home: Path) -> dict[str, Any]:
    """Run the recipe in `home` and store what it makes; the job's result.

    Raises `Invalid` for whatever the recipe does wrong.
    """
    async with ctx.step(stage="building", restart=ctx.total is not None) as step:
        await store.forget_output(step.session, build.id)
    folder = await asyncio.to_thread(_working_folder, recipe, home)
    command = Command(recipe.command, home, folder, recipe.variables(build.ref), recipe.disk_bytes)
    await _Run(ctx, build).through(command, recipe.timeout)
    manifest = await _keep(ctx, recipe, folder)
    async with ctx.step(stage="storing", message=f"{len(manifest):,} artifacts") as step:
        await store.add_artifacts(step.session, build.id, manifest)
    return {"build_id": str(build.id), "artifacts": len(manifest)}


class _Run:
    """The recipe at work, and what is told of it meanwhile."""

    def __init__(self, ctx: JobContext, build: Build) -> None:
        self._ctx, self._build = ctx, build
        self._log, self._progress = BuildLog(), Progress()
        self._shown: tuple[int, int | None, str | None] = (0, None, None)

    async def through(self, command: Command, seconds: float) -> None:
        """Run the command to its end. Raises `Invalid` when that is not a good one."""
        limit = asyncio.timeout(seconds)
        try:
            async with limit, guarded(command, lambda: self._ctx.lease_ends) as running:
                await self._follow(running)
                ended = await running.ended()
        except TimeoutError as error:
            if not limit.expired():
                raise
            await self._tell_the_rest()
            message = f"The recipe took more than its {seconds:g} s."
            raise Invalid(message, code="timeout") from error
        except Invalid:
            await self._tell_the_rest()
            raise
        except (asyncio.CancelledError, JobCancelled):
            with suppress(JobCancelled, TimeoutError):  # it is stored, or the worker is stopping
                await to_the_end(asyncio.wait_for(self._tell_the_rest(), _LAST_WORDS_SECONDS))
            raise
        await self._tell_the_rest()
        ended.check("The recipe")

    async def _follow(self, running: Running) -> None:
        """Take in output until there is no more, and tell of it now and then."""
        reading = asyncio.create_task(self._take_in(running))
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=_STEP_SECONDS)
                await self._tell()
            reading.result()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _take_in(self, running: Running) -> None:
        while content := await running.read():
            self._log.feed(content)
            self._progress.feed(content)
            if self._log.size > OUTPUT_BYTES:
                limit = f"{OUTPUT_BYTES >> 20} MiB"
                raise Invalid(f"The recipe printed more than {limit}.", code="too_much_output")

    async def _tell(self) -> None:
        """Store new output and progress; what a database that is away misses is told later."""
        try:
            await self._step()
        except Exception as error:
            if not is_passing(error):
                raise

    async def _tell_the_rest(self) -> None:
        self._progress.close()
        await patiently(self._step, OUTAGE_PATIENCE)

    async def _step(self) -> None:
        write, told = self._log.pending(), self._progress
        now_shown = (told.done, told.total, told.message)
        if write is None and now_shown == self._shown:
            return
        async with self._ctx.step(total=told.total, message=told.message) as step:
            if write is not None:
                await store.add_output(step.session, self._build.id, write)
            step.advance(told.done - self._ctx.processed)
        if write is not None:
            self._log.stored(write)
        self._shown = now_shown


def _working_folder(recipe: Recipe, home: Path) -> Path:
    """Where the recipe runs: its home, a folder below it, or one that the operator has named."""
    folder = home / (recipe.workdir or ".")
    if folder.is_relative_to(home):
        folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise Invalid(f"The recipe's workdir {str(folder)!r} is not there.", code="no_workdir")
    return folder


async def _keep(ctx: JobContext, recipe: Recipe, folder: Path) -> list[dict[str, Any]]:
    """Store the bytes of every artifact; the manifest."""
    found = await asyncio.to_thread(find_artifacts, folder, recipe.artifacts)
    size = sum(each.size_bytes for each in found)
    if size > recipe.disk_bytes:
        raise Invalid("The artifacts are larger than disk_bytes.", code="too_large")
    blobs = ctx.resources.blobs.under(BLOBS)
    manifest = []
    for each in found:
        blob = await blobs.put(_chunks(each), limit_bytes=recipe.disk_bytes)
        manifest.append(
            {
                "path": each.path,
                "size_bytes": blob.size_bytes,
                "sha256": blob.sha256,
                "executable": each.executable,
            }
        )
    return manifest


async def _chunks(found: Found) -> AsyncIterator[bytes]:
    descriptor = await asyncio.to_thread(open_artifact, found)
    try:
        while content := await asyncio.to_thread(os.read, descriptor, _CHUNK):
            yield content
    finally:
        os.close(descriptor)
