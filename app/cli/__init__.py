"""The operator's door: `headway`, `python -m app` and `ios-backup-worker`.

Exit codes: 0 done, 1 it failed, 2 usage or settings, 3 cancelled, 4 not found or unreachable,
70 our own mistake, 130 stopped by Ctrl-C. Whatever goes wrong is one line on stderr.

A command's module is imported when the command is called, so `headway --help` starts at once.
"""

import sys
from importlib import import_module
from typing import Any

from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

_COMMANDS = {
    "demo": ("demo", "Index a backup and PDFs before your eyes; nothing else is needed."),
    "up": ("up", "Start the API and a worker; the database is migrated first."),
    "worker": ("worker", "Start a worker on either engine."),
    "jobs": ("jobs", "List, show, watch, cancel and retry jobs."),
    "top": ("top", "Watch queues, workers and jobs on one screen."),
    "token": ("tokens", "Create, list and revoke API tokens."),
    "db": ("database", "Bring the database to the newest schema."),
    "maintenance": ("maintenance", "Do now what otherwise the schedules do."),
    "chaos": ("chaos", "Break workers and private servers under load; check every promise."),
    "doctor": ("doctor", "Look at everything Headway needs, and say how to mend it."),
}
_HELP = "Background jobs as durable rows that people can watch."
_SETTINGS = (
    "The jobs commands speak to HEADWAY_URL with HEADWAY_TOKEN; without a token they work on "
    "DATABASE_URL directly, as admin. The other commands always do."
)


class _Commands(TyperGroup):
    """The table above; a command is imported only when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the table's order."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in that knows its help, or None."""
        if cmd_name not in _COMMANDS:
            return None
        return TyperCommand(cmd_name, help=_COMMANDS[cmd_name][1])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` call, itself."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in _COMMANDS:
            command = get_command(import_module(f"app.cli.{_COMMANDS[name][0]}").app)
        return name, command, rest


def main() -> None:
    """Run `headway`."""
    _run(_Commands(name="headway", help=_HELP, epilog=_SETTINGS, no_args_is_help=True), "headway")


def ios_backup_worker() -> None:
    """Run `ios-backup-worker`."""
    worker = import_module("app.cli.worker")
    _run(get_command(worker.backups_app), "ios-backup-worker")


def _run(command: Any, name: str) -> None:
    try:
        command(prog_name=name)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 -- people get a sentence, never a traceback
        line, code = import_module("app.cli.errors").explain(error)
        print(f"{name}: {line}", file=sys.stderr)
        sys.exit(code)
