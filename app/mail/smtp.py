"""Messages over SMTP (RFC 5321), one after another on one connection.

Which answer means what is decided here. As long as the server has not been given the whole
message nothing was handed over; from then until its answer nobody can know.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib
from aiosmtplib import (
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from app.core.errors import Unavailable
from app.mail.port import Fate, Mail, Outcome

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CONNECT_SECONDS = 15.0
_ANSWER_SECONDS = 60.0  # some servers look at a message for long before they take it
_REASON = 300  # characters of a server's answer that are kept
_CLOSING = 421  # the server is about to hang up
_GONE = (SMTPServerDisconnected, SMTPTimeoutError, OSError)


class SmtpMailer:
    """Sends through one server."""

    def __init__(self, url: str, sender: str) -> None:
        """Describe the server; nothing is connected.

        Args:
            url: `smtp://user:password@host:port`, or `smtps://` where TLS comes first.
            sender: an address, with or without a name before it.
        """
        self._options = options(url)
        self._sender = sender

    @asynccontextmanager
    async def line(self) -> AsyncGenerator["SmtpLine"]:
        """A connection of one's own, closed with the block."""
        line = SmtpLine(self._options, self._sender)
        try:
            yield line
        finally:
            await line.close()


class SmtpLine:
    """One connection, opened when it is needed and again when the server has hung up."""

    def __init__(self, options: dict[str, Any], sender: str) -> None:
        self._options = options
        self._sender = sender
        self._client: aiosmtplib.SMTP | None = None

    async def send(self, mail: Mail) -> Outcome:
        """Send one message; see `Line.send`."""
        try:
            content = as_bytes(mail, self._sender)
        except (ValueError, MessageError) as error:
            return Outcome(Fate.REFUSED, f"it cannot be written as a mail: {_words(error)}")
        refusal = await self._announce(mail.to)
        if refusal is not None:
            return refusal
        assert self._client is not None
        try:
            await self._client.data(content)
        except SMTPResponseException as error:
            return await self._refused(error)
        except _GONE as error:
            self._drop()
            return Outcome(Fate.UNSURE, f"no answer to the message: {_words(error)}")
        return Outcome(Fate.SENT)

    async def close(self) -> None:
        """Say goodbye, if anybody still listens."""
        if self._client is not None:
            try:
                await self._client.quit(timeout=1.0)
            except (SMTPException, OSError):
                pass
            finally:
                self._drop()

    async def _announce(self, recipient: str) -> Outcome | None:
        """Name sender and recipient, on a fresh connection if the old one has gone stale."""
        stale = self._client is not None
        while True:
            client = await self._connected()
            try:
                await client.mail(parseaddr(self._sender)[1])
                await client.rcpt(recipient)
            except SMTPResponseException as error:
                if error.code != _CLOSING:
                    if isinstance(error, SMTPRecipientRefused):
                        return await self._refused(error)
                    self._drop()
                    raise Unavailable(f"the mail server refuses us: {_words(error)}") from error
                why: Exception = error
            except _GONE as error:
                why = error
            else:
                return None
            self._drop()
            if not stale:
                raise Unavailable(f"the mail server hung up: {_words(why)}") from why
            stale = False

    async def _refused(self, error: SMTPResponseException) -> Outcome:
        """What a refusal of this one message means; the connection goes on."""
        try:
            assert self._client is not None
            if error.code == _CLOSING:
                self._drop()
            else:
                await self._client.rset()
        except (SMTPException, OSError):
            self._drop()
        return Outcome(Fate.REFUSED if error.code >= 500 else Fate.LATER, _words(error))

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._client is None or not self._client.is_connected:
            client = aiosmtplib.SMTP(**self._options)
            try:
                await client.connect()
            except (SMTPException, OSError) as error:
                client.close()
                raise Unavailable(f"the mail server is not to be had: {_words(error)}") from error
            client.timeout = _ANSWER_SECONDS
            self._client = client
        return self._client

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def options(url: str) -> dict[str, Any]:
    """What `url` means to aiosmtplib.

    A password goes to other hosts over TLS only, with their certificate checked; without one TLS
    is used where it is offered. This host's own server may have any certificate.
    """
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    tls_first = parts.scheme == "smtps"
    found: dict[str, Any] = {
        "hostname": host,
        "port": parts.port or (465 if tls_first else 25),
        "timeout": _CONNECT_SECONDS,
        "use_tls": tls_first,
        "validate_certs": host not in LOOPBACK,
    }
    if parts.username:
        found |= {"username": unquote(parts.username), "password": unquote(parts.password or "")}
    if not tls_first:
        found["start_tls"] = True if parts.username and host not in LOOPBACK else None
    return found


def as_bytes(mail: Mail, sender: str) -> bytes:
    """The message as it goes over the wire: the same mail and sender give the same bytes."""
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(mail.date.replace(microsecond=0))
    message["Message-ID"] = f"<{mail.key}@{parseaddr(sender)[1].rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message.as_bytes()


def _words(error: Exception) -> str:
    """A server's answer, or what went wrong, as one short line."""
    if isinstance(error, SMTPResponseException):
        told = f"{error.code} {error.message}"
    else:
        told = str(error) or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in told)[:_REASON].strip()
