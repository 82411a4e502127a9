"""Ends whatever chaos has started and removes its folder, once chaos itself is gone.

    python -m app.chaos.guardian FOLDER

stdin is a pipe whose other end chaos holds, so however chaos ends, also by kill -9, this process
sees it. All that chaos starts works in FOLDER, which is how it is found: also what is frozen
just then, which would never notice that its parent has died.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import app
from app.chaos import proc

HOUSE = Path(app.__file__).parent.parent
_PREFIX = "headway-chaos-"
_GRACE_SECONDS = 5.0  # for PostgreSQL to give its shared memory back


@contextmanager
def guarded_folder() -> Iterator[Path]:
    """A scratch folder; when the block or this process ends, so does whatever works in it."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
    folder.chmod(0o755)  # PostgreSQL may have to run as somebody else
    guardian = subprocess.Popen(
        [sys.executable, "-m", __name__, str(folder)],
        cwd=HOUSE,
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for chaos, which then closes the pipe
    )
    try:
        yield folder
    finally:
        guardian.communicate()


def main(folder: Path) -> None:
    """Wait for the end of chaos, then clear up."""
    if not folder.name.startswith(_PREFIX):
        sys.exit("not a folder of chaos")
    sys.stdin.buffer.read()
    _end_all(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _end_all(folder: Path) -> None:
    proc.send(signal.SIGQUIT, *proc.working_below(folder))
    proc.send(signal.SIGCONT, *proc.working_below(folder))
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline and proc.working_below(folder):
        time.sleep(0.05)  # noqa: TID251 -- no loop runs here
    proc.send(signal.SIGKILL, *proc.working_below(folder))


if __name__ == "__main__":
    os.chdir("/")
    main(Path(sys.argv[1]))
