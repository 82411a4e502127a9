"""The six domains of a backup, each described once; nothing else names them one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.backups import feeding, people
from app.backups.feeding import Feed
from app.backups.items.base import Table
from app.backups.items.calendar import CalendarEvent, CalendarSheet
from app.backups.items.contacts import Contact
from app.backups.items.messages import Message, MessageAttachment, MessageConversation
from app.backups.items.notes import BackupNote
from app.backups.items.photos import PhotoAsset
from app.backups.items.whatsapp import WhatsAppAttachment, WhatsAppChat, WhatsAppMessage
from app.backups.rows import calendar, contacts, messages, notes, photos, whatsapp
from app.backups.rows.frames import Frames
from app.backups.rows.making import Maker


@dataclass(frozen=True, slots=True)
class Domain:
    """One database of a backup, from its frames to what readers see of it."""

    name: str  # logical name of the database, key of the pointer, and the job's stage
    counts: Mapping[Table, str]  # its tables, and what their rows are called in counts
    maker: type[Maker]
    feed: Feed
    names_people: bool = False  # its rows hold names out of the contacts

    @property
    def items(self) -> str:
        """What the job counts: the items that search finds, as they are called in `counts`."""
        return self.counts[self.feed.table]

    @property
    def frames(self) -> Frames:
        """What the child sends."""
        return self.maker.frames


DOMAINS: Sequence[Domain] = (
    Domain(  # first: the others take names from it
        name=people.DOMAIN,
        counts={Contact: "contacts"},
        maker=contacts.ContactMaker,
        feed=feeding.CONTACTS,
    ),
    Domain(
        name="messages",
        counts={
            MessageConversation: "conversations",
            Message: "messages",
            MessageAttachment: "message_attachments",
        },
        maker=messages.MessageMaker,
        feed=feeding.MESSAGES,
        names_people=True,
    ),
    Domain(
        name="whatsapp",
        counts={
            WhatsAppChat: "whatsapp_chats",
            WhatsAppMessage: "whatsapp_messages",
            WhatsAppAttachment: "whatsapp_attachments",
        },
        maker=whatsapp.WhatsAppMaker,
        feed=feeding.WHATSAPP,
        names_people=True,
    ),
    Domain(
        name="notes",
        counts={BackupNote: "notes"},
        maker=notes.NoteMaker,
        feed=feeding.NOTES,
    ),
    Domain(
        name="calendar",
        counts={CalendarSheet: "calendars", CalendarEvent: "events"},
        maker=calendar.CalendarMaker,
        feed=feeding.CALENDAR,
    ),
    Domain(
        name="photos",
        counts={PhotoAsset: "photos"},
        maker=photos.PhotoMaker,
        feed=feeding.PHOTOS,
    ),
)

TABLES: Sequence[Table] = [table for domain in DOMAINS for table in domain.counts]
