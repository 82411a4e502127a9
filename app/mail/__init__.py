"""Mail: a port with two honest implementations, SMTP and the log."""

from app.mail.log import LogMailer
from app.mail.port import Fate, Line, Mail, Mailer, Outcome
from app.mail.smtp import SmtpMailer

__all__ = ["Fate", "Line", "LogMailer", "Mail", "Mailer", "Outcome", "SmtpMailer", "open_mailer"]


def open_mailer(url: str | None, sender: str | None) -> Mailer:
    """The mailer for SMTP_URL and MAIL_FROM; nothing is connected before its first message."""
    if url is None or sender is None:
        return LogMailer()
    return SmtpMailer(url, sender)
