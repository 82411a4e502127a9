"""Mail over a real SMTP server: what each answer means, TLS, passwords, and the bytes."""

import email
import logging
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.policy import default
from pathlib import Path

import pytest
from aiosmtpd.smtp import Envelope

from app.core.errors import Unavailable
from app.mail import Fate, LogMailer, Mail, SmtpMailer, open_mailer
from app.mail.smtp import as_bytes, options
from tests.mail.post_office import PostOffice, open_post_office, secured

SENDER = "Headway <headway@example.org>"
with_certificates = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs the openssl command to make a certificate"
)
DATE = datetime(2026, 11, 21, 9, 30, 0, 123456, tzinfo=UTC)


def mail(to: str = "ada@example.com", key: str = "reminder-1", text: str = "Paint it.\n") -> Mail:
    return Mail(key=key, to=to, subject="Reminder: Paint it. Übrigens", text=text, date=DATE)


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with open_post_office() as opened:
        yield opened


async def send(url: str, *mails: Mail) -> list[Fate]:
    async with SmtpMailer(url, SENDER).line() as line:
        return [(await line.send(each)).fate for each in mails]


async def test_a_message_arrives_whole(office: PostOffice) -> None:
    text = "Grüße\n.a line that begins with a dot\n" + "long " * 400 + "\n"

    assert await send(office.url, mail(text=text)) == [Fate.SENT]

    (arrived,) = office.delivered
    read = email.message_from_bytes(arrived.content, policy=default)
    assert read["Message-ID"] == "<reminder-1@example.org>"
    assert read["Date"] == "Sat, 21 Nov 2026 09:30:00 +0000"
    assert (read["From"], read["To"]) == (SENDER, "ada@example.com")
    assert read["Subject"] == "Reminder: Paint it. Übrigens"
    assert read.get_content().splitlines() == text.splitlines()


async def test_the_same_mail_is_the_same_bytes(office: PostOffice) -> None:
    for _ in range(2):
        await send(office.url, mail())

    assert len({each.content for each in office.delivered}) == 1
    assert as_bytes(mail(), SENDER) == as_bytes(mail(), SENDER)


async def test_a_refused_recipient_takes_nobody_down(office: PostOffice) -> None:
    office.answers = {"gone@example.com": ["550 no such user"], "full@example.com": ["452 full"]}
    mails = [mail("gone@example.com"), mail("full@example.com"), mail(), mail("full@example.com")]

    fates = await send(office.url, *mails)

    assert fates == [Fate.REFUSED, Fate.LATER, Fate.SENT, Fate.SENT]
    assert office.connections == 1


async def test_a_refused_message_is_told_in_the_servers_words(office: PostOffice) -> None:
    async def refuse(_envelope: Envelope) -> str | None:
        return "554 looks like\tspam"

    office.on_data = refuse
    async with SmtpMailer(office.url, SENDER).line() as line:
        outcome = await line.send(mail())

    assert (outcome.fate, outcome.reason) == (Fate.REFUSED, "554 looks like spam")


async def test_a_lost_answer_is_unsure_and_the_next_message_goes_on(office: PostOffice) -> None:
    dropped = []

    async def drop_once(envelope: Envelope) -> str | None:
        dropped.append(envelope)
        return "hang up" if len(dropped) == 1 else None

    office.on_data = drop_once

    assert await send(office.url, mail(), mail(key="reminder-2")) == [Fate.UNSURE, Fate.SENT]
    assert office.ids == ["<reminder-2@example.org>"]


async def test_a_server_that_hung_up_between_two_messages_is_called_again(
    office: PostOffice,
) -> None:
    async with SmtpMailer(office.url, SENDER).line() as line:
        first = await line.send(mail())
        office.answers = {"ada@example.com": ["421 enough for one connection"]}
        second = await line.send(mail())

    assert [first.fate, second.fate] == [Fate.SENT, Fate.SENT]
    assert office.connections == 2


async def test_no_server_is_an_error_of_its_own() -> None:
    async with open_post_office() as office:
        url = office.url

    with pytest.raises(Unavailable, match="not to be had"):
        await send(url, mail())


async def test_a_sender_who_is_refused_is_nobodys_fault_but_ours(office: PostOffice) -> None:
    office.closed_to = "headway@example.org"

    with pytest.raises(Unavailable, match="530 not you"):
        await send(office.url, mail())
    assert office.delivered == []


@with_certificates
async def test_a_password_goes_over_tls(tmp_path: Path) -> None:
    async with open_post_office(**secured(tmp_path)) as office:
        there = f"localhost:{office.port}"

        assert await send(f"smtp://ada:p%40ss%3Aw%2Frd@{there}", mail()) == [Fate.SENT]
        with pytest.raises(Unavailable) as refused:
            await send(f"smtp://ada:wr0ng@{there}", mail())
        assert "wr0ng" not in str(refused.value)


@with_certificates
async def test_a_strangers_certificate_must_be_vouched_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """127.0.0.2 counts as another host here."""
    async with open_post_office("127.0.0.2", **secured(tmp_path)) as office:
        url = f"smtp://ada:p%40ss%3Aw%2Frd@127.0.0.2:{office.port}"
        with pytest.raises(Unavailable, match="certificate"):
            await send(url, mail())

        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert await send(url, mail()) == [Fate.SENT]


async def test_a_password_is_not_given_to_another_host_in_clear() -> None:
    async with open_post_office("127.0.0.2") as office:
        with pytest.raises(Unavailable, match="STARTTLS"):
            await send(f"smtp://ada:secret@127.0.0.2:{office.port}", mail())


def test_addresses_mean_what_people_expect() -> None:
    plain, first = options("smtp://mail.example.org"), options("smtps://u:p@mail.example.org")

    assert (plain["port"], plain["use_tls"], plain["start_tls"]) == (25, False, None)
    assert "username" not in plain
    assert (first["port"], first["use_tls"], first["validate_certs"]) == (465, True, True)


async def test_without_a_server_messages_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    mailer = open_mailer(None, None)
    assert isinstance(mailer, LogMailer)

    with caplog.at_level(logging.WARNING, "app.mail.log"):
        async with mailer.line() as line:
            assert (await line.send(mail())).fate is Fate.SENT

    (record,) = caplog.records
    assert vars(record)["text"] == "Paint it.\n"
