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
    items: str  # of those, what the job counts
    frames: Frames
    maker: type[Maker]
    feed: Feed
    names_people: bool  # its rows hold names out of the contacts


DOMAINS: Sequence[Domain] = (
    Domain(  # first: the others take names from it
        name=people.DOMAIN,
        counts={Contact: "contacts"},
        items="contacts",
        frames=contacts.FRAMES,
        maker=contacts.ContactMaker,
        feed=feeding.CONTACTS,
        names_people=False,
    ),
    Domain(
        name="messages",
        counts={
            MessageConversation: "conversations",
            Message: "messages",
            MessageAttachment: "message_attachments",
        },
        items="messages",
        frames=messages.FRAMES,
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
        items="whatsapp_messages",
        frames=whatsapp.FRAMES,
        maker=whatsapp.WhatsAppMaker,
        feed=feeding.WHATSAPP,
        names_people=True,
    ),
    Domain(
        name="notes",
        counts={BackupNote: "notes"},
        items="notes",
        frames=notes.FRAMES,
        maker=notes.NoteMaker,
        feed=feeding.NOTES,
        names_people=False,
    ),
    Domain(
        name="calendar",
        counts={CalendarSheet: "calendars", CalendarEvent: "events"},
        items="events",
        frames=calendar.FRAMES,
        maker=calendar.CalendarMaker,
        feed=feeding.CALENDAR,
        names_people=False,
    ),
    Domain(
        name="photos",
        counts={PhotoAsset: "photos"},
        items="photos",
        frames=photos.FRAMES,
        maker=photos.PhotoMaker,
        feed=feeding.PHOTOS,
        names_people=False,
    ),
)

TABLES: Sequence[Table] = [table for domain in DOMAINS for table in domain.counts]
