"""A real SMTP server for tests: it keeps what it is given, and may be told to misbehave."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from app.chaos.servers import free_port

USER, PASSWORD = b"ada", b"p@ss:w/rd"
Answer = Callable[[Envelope], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that the server has answered with 250."""

    content: bytes
    to: str

    @property
    def id(self) -> str:
        return str(message_from_bytes(self.content)["Message-ID"])


@dataclass
class PostOffice:
    """What came, and what is answered to whom."""

    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    delivered: list[Delivery] = field(default_factory=list)
    connections: int = 0
    answers: dict[str, list[str]] = field(default_factory=dict)  # by recipient, to RCPT
    closed_to: str | None = None  # a sender who is refused
    on_data: Answer | None = None  # before a message is taken; a text refuses it

    @property
    def url(self) -> str:
        return f"smtp://{self.host}:{self.port}"

    @property
    def ids(self) -> list[str]:
        return [each.id for each in self.delivered]

    def to(self, recipient: str) -> list[Delivery]:
        return [each for each in self.delivered if each.to == recipient]

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, _envelope: Envelope, name: str, responses: list[str]
    ) -> list[str]:
        self.connections += session.host_name is None
        session.host_name = name
        return responses

    async def handle_MAIL(  # noqa: N802
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if self.closed_to == address:
            return "530 not you"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        waiting = self.answers.get(address)
        if waiting:
            return waiting.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        refusal = None if self.on_data is None else await self.on_data(envelope)
        if refusal == "hang up":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        if refusal is not None:
            return refusal
        content = envelope.original_content
        assert content is not None
        self.delivered += [Delivery(content, to) for to in envelope.rcpt_tos]
        return "250 taken"


@asynccontextmanager
async def open_post_office(host: str = "127.0.0.1", **how: Any) -> AsyncIterator[PostOffice]:
    """A server in a thread of its own; `how` goes to aiosmtpd."""
    office = PostOffice(host=host)
    controller = Controller(office, hostname=host, port=office.port, **how)
    controller.start()
    try:
        yield office
    finally:
        controller.stop()


def secured(folder: Path) -> dict[str, Any]:
    """STARTTLS with a certificate that nobody vouches for, and a password."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=post", "-addext", "subjectAltName=IP:127.0.0.2",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return {
        "tls_context": context,
        "require_starttls": True,
        "authenticator": _authenticate,
        "auth_required": True,
    }


def _authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _how: str, told: LoginPassword
) -> AuthResult:
    right = (told.login, told.password) == (USER, PASSWORD)
    return AuthResult(success=right, handled=False)  # the server itself says no
