"""What the demo lives in: `headway up` in a folder of its own, and input that is made up."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import app
from app.api.auth import create_token
from app.backups.sample import make_backup
from app.cli.database import bring_up_to_date
from app.core.db import Database
from app.core.errors import Unavailable
from app.documents.sample import make_pdf
from app.settings import Settings

_MESSAGES = 20_000
_PDFS = {"handbook.pdf": 300, "report.pdf": 60, "letter.pdf": 2}  # pages
_QUESTIONS = (  # one for each domain of the sample, and what only one item of it says
    "birthday station keys",
    "regatta lighthouse",
    "sourdough",
    "telescope planetarium",
    "fireflies vineyard",
    "observatory",
)
_MEANT = "What can people watch?"  # of documents, by meaning
_START_SECONDS = 60.0
_STOP_SECONDS = 12.0  # more than SHUTDOWN_GRACE_SECONDS + 2 at their defaults


@dataclass(frozen=True, slots=True)
class Input:
    """What is indexed."""

    backup: Path
    pdfs: Sequence[Path]
    questions: Sequence[str]  # what to search for afterwards


def sample_input(folder: Path, backup: Path | None, pdfs: Sequence[Path]) -> Input:
    """The given input, and samples below `folder` for what is not given."""
    questions: Sequence[str] = (_MEANT,)
    if backup is None:
        backup = folder / "backups" / "sample-iphone"
        make_backup(backup, messages=_MESSAGES)
        questions = (*_QUESTIONS, _MEANT)
    if not pdfs:
        there = folder / "samples"
        there.mkdir()
        pdfs = [make_pdf(there / name, pages, title=name) for name, pages in _PDFS.items()]
    return Input(backup, pdfs, questions)


class House:
    """A whole Headway on SQLite in `folder`: an API process and its supervised worker."""

    def __init__(self, folder: Path, roots: Sequence[Path]) -> None:
        """Backups may be named below `roots` besides the folder's own `backups`."""
        self.url = ""
        self._folder = folder
        self._database = f"sqlite+aiosqlite:///{folder / 'headway.db'}"
        self._roots = [folder / "backups", *roots]
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await bring_up_to_date(self._database)
        command = [sys.executable, "-m", "app", "up", "--port", "0", "--json"]
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                "--parent",
                str(os.getpid()),
                cwd=self._folder,  # no .env is there
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()

    async def token(self) -> str:
        """An admin's token, once the API listens. Raises `Unavailable` with what its log says."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = b""
        with suppress(TimeoutError):
            line = await asyncio.wait_for(self._process.stdout.readline(), _START_SECONDS)
        if not line:
            said = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise Unavailable("the API did not start: " + ("".join(said) or "it says nothing"))
        self.url = json.loads(line)["url"]
        db = Database(self._database)
        try:
            async with db.transaction() as session:
                return await create_token(session, "demo", admin=True)
        finally:
            await db.close()

    @property
    def _log(self) -> Path:
        return self._folder / "headway.log"

    def _environment(self) -> dict[str, str]:
        """Ours without any setting of Headway's, and the few that make the demo's house."""
        settings = {name.upper() for name in Settings.model_fields} | {"IOS_BACKUP_REDIS__URL"}
        ours = os.environ  # noqa: TID251 -- handed on, not read
        kept = {name: value for name, value in ours.items() if name.upper() not in settings}
        here = str(Path(app.__file__ or ".").parent.parent)
        paths = [here, *filter(None, [kept.get("PYTHONPATH")])]
        return kept | {
            "PYTHONPATH": os.pathsep.join(paths),
            "DATA_DIR": str(self._folder),
            "BACKUP_ROOTS": os.pathsep.join(str(root) for root in self._roots),
            "LOG_FORMAT": "json",
        }
