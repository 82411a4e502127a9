"""Messages into the log, where nothing is mailed."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from app.mail.port import Fate, Mail, Outcome

log = logging.getLogger(__name__)


class LogMailer:
    """Writes each message as one line; the line is the delivery."""

    @asynccontextmanager
    async def line(self) -> AsyncGenerator["LogMailer"]:
        """Itself: there is nothing to connect."""
        yield self

    async def send(self, mail: Mail) -> Outcome:
        """Write the message; always sent. As a warning, so that LOG_LEVEL does not swallow it."""
        facts = {"key": mail.key, "to": mail.to, "subject": mail.subject, "text": mail.text}
        log.warning("message", extra=facts)
        return Outcome(Fate.SENT)
