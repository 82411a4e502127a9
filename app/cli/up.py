"""`headway up`: the API in this process and its worker in a supervised child.

The worker is always the database engine for all queues. With REDIS_URL set it listens to the
wake channel besides, so it is as quick; what others ring for through Redis it takes from the
table. An ARQ worker would serve one queue only.
"""

import asyncio
import ipaddress
import logging
import os
import signal
import socket
import sys
from typing import Annotated

import typer
import uvicorn

from app.cli.database import bring_up_to_date
from app.cli.output import JsonFlag, ParentOption, emit
from app.cli.supervisor import Supervisor, end_with
from app.core import loops
from app.core.errors import Conflict, Invalid
from app.core.failpoints import arm
from app.core.logging import configure_logging
from app.main import create_app
from app.settings import Settings, load_settings

app = typer.Typer()

_REQUESTS_SECONDS = 5  # open requests get so long at a stop, within the worker's own grace
_HANDING_BACK = 1.5  # seconds beyond SHUTDOWN_GRACE_SECONDS that the worker has to hand back


@app.command()
def up(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 means any free one.")] = 8000,
    as_json: JsonFlag = False,
    parent: ParentOption = None,
) -> None:
    """Migrate the database, then start the API and a worker for all queues.

    SIGINT and SIGTERM end both within SHUTDOWN_GRACE_SECONDS + 2 s.
    """
    settings = load_settings()
    configure_logging(level=settings.log_level, json_lines=settings.json_logs)
    arm(settings.failpoint)
    if parent is not None:
        end_with(parent)
    with _listening(host, port) as listener:
        loops.run(_serve(settings, host, listener, as_json=as_json))


async def _serve(settings: Settings, host: str, listener: socket.socket, *, as_json: bool) -> None:
    database = await bring_up_to_date(settings.database_url)
    supervisor = Supervisor(
        _worker_command(), grace_seconds=settings.shutdown_grace_seconds + _HANDING_BACK
    )
    config = uvicorn.Config(
        create_app(settings),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_REQUESTS_SECONDS,
    )
    server = _Server(config, supervisor)
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises them again when it is done
        signal.signal(number, server.handle_exit)
    working = asyncio.create_task(supervisor.run())
    _announce(host, listener.getsockname()[1], database, as_json=as_json)
    try:
        await server.serve(sockets=[listener])
    finally:
        supervisor.stop()
        await working
    if not server.started:
        raise Conflict("the API did not start; the log says why")


class _Server(uvicorn.Server):
    """Passes the signal that ends it on to the worker at once."""

    def __init__(self, config: uvicorn.Config, supervisor: Supervisor) -> None:
        super().__init__(config)
        self._supervisor = supervisor
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: object) -> None:
        """See uvicorn; called in the main thread between two steps of the loop."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._supervisor.stop)
        super().handle_exit(sig, frame)  # type: ignore[arg-type]


def _worker_command() -> list[str]:
    worker = [sys.executable, "-m", "app", "worker", "--engine", "database"]
    return [*worker, "--parent", str(os.getpid())]


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens, before anything else is started. Raises when it cannot."""
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except socket.gaierror as error:
        raise Invalid(f"--host {host} is no address of this machine") from error
    except OSError as error:
        raise Conflict(f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener.set_inheritable(False)
    return listener


def _announce(host: str, port: int, database: str, *, as_json: bool) -> None:
    wildcard = host in ("0.0.0.0", "::", "")  # noqa: S104 -- compared, not listened on
    shown = "127.0.0.1" if wildcard else f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}"
    if as_json:
        emit({"url": url, "database": database, "pid": os.getpid()})
    else:
        print(f"Headway is at {url}")
        print("  a token:    headway token create NAME --admin")
        print(f"  to look:    {url}/")
        print(f"  the API:    {url}/docs")
        print(f"  database:   {database}")
        print("  to end it:  Ctrl-C", flush=True)
    if not _is_loopback(host):
        logging.getLogger("headway").warning(
            "listening on %s without TLS: tokens and data cross the network in clear; "
            "put a proxy with TLS in front (docs/guides/production.md)",
            host,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
