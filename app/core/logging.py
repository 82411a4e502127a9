"""Logs: one event a line, facts as fields.

Modules log with the standard library (`log.info("job ended", extra={"processed": 3})`); this
module decides how that looks: JSON lines, or colours on a terminal.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any

import structlog

_PASSWORD_IN_URL = re.compile(r"(?<=://)([^:/@\s]*):([^@/\s]+)@")
_BEARER = re.compile(r"(?i)(bearer\s+)\S+")
_SECRET_FIELDS = ("password", "passphrase", "token", "secret", "authorization", "api_key")


def bound(**facts: Any) -> AbstractContextManager[None]:
    """Add `facts` to every line logged inside the block, also from tasks and threads it starts."""
    return structlog.contextvars.bound_contextvars(**facts)


def without_secrets(text: str) -> str:
    """`text` with passwords of URLs and bearer tokens blotted out."""
    return _BEARER.sub(r"\1***", _PASSWORD_IN_URL.sub(r"\1:***@", text))


def configure_logging(*, level: str, json_lines: bool) -> None:
    """Send every logger of this process to stderr in one shape, secrets blotted out.

    Call it once, at a door. Loggers that uvicorn and arq set up for themselves are taken over.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _blot_out_secrets,
    ]
    renderer: list[structlog.typing.Processor] = (
        [
            structlog.processors.format_exc_info,
            _blot_out_secrets,
            structlog.processors.JSONRenderer(),
        ]
        if json_lines
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "arq", "arq.worker", "alembic"):
        taken = logging.getLogger(name)
        taken.handlers[:] = []
        taken.propagate = True
    # arq logs each job's arguments at INFO; ours are logged by the runner, without them.
    logging.getLogger("arq.worker").setLevel(logging.WARNING)
    for chatty in ("httpx", "aiosqlite"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _blot_out_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if any(secret in name.lower() for secret in _SECRET_FIELDS):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = without_secrets(value)
    return event
