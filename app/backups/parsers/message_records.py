"""What the messages parser yields. Named tuples: fast, and arrays once they are MessagePack.

Field meanings: docs/formats.md. Times are aware UTC datetimes; None stands for
whatever the source does not say. Handles are raw (a phone number, an e-mail address, a business
id); names are resolved elsewhere, from the contacts.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import repeat
from typing import Any, NamedTuple, Self, TypeVar

T = TypeVar("T")
N = TypeVar("N")


class Conversation(NamedTuple):
    """One chat of the Messages app."""

    id: int  # chat.ROWID, what `Message.conversation_id` names
    guid: str
    service: str | None
    is_group: bool
    title: str | None
    participants: list[str]  # handles, in the order of joining
    message_count: int  # messages whose `conversation_id` this is; reactions are not messages
    last_message_at: datetime | None
    person_key: str | None  # equal for the chats one person has over several services; None: group


class Reaction(NamedTuple):
    """What somebody last thought of a message."""

    kind: str  # love, like, dislike, laugh, emphasise, question, emoji, sticker, other
    emoji: str | None  # only with kind "emoji"
    sender: str | None
    is_from_me: bool
    at: datetime | None


class Edit(NamedTuple):
    """One wording of an edited message. The first is the original, the last the current one."""

    text: str
    at: datetime | None


class GroupEvent(NamedTuple):
    """What happened, for the kinds group_event, location_share, audio_kept and shareplay."""

    what: str  # participant_added, group_renamed, icon_changed, location_started ...
    handle: str | None  # whom it happened to
    title: str | None  # the new name of the group


class LinkPreview(NamedTuple):
    """What the phone fetched to draw the card under a link."""

    url: str | None
    title: str | None
    summary: str | None


class Attachment(NamedTuple):
    """A file sent with a message."""

    guid: str | None
    filename: str | None  # as shown to people
    mime_type: str | None
    size_bytes: int | None
    file_id: str | None  # where a backup keeps it; None where it does not (a Mac's database)
    file_present: bool | None  # None where nobody could look
    is_sticker: bool


class Message(NamedTuple):
    """One row of `message` that is not a reaction."""

    id: int  # message.ROWID
    guid: str
    conversation_id: int | None
    sent_at: datetime | None
    is_from_me: bool
    sender: str | None  # for one's own messages the number or address they were sent from
    service: str | None
    kind: str  # see `app.backups.parsers.messages.KINDS`
    text: str | None  # U+FFFC where an attachment stands; None where nothing else is in it
    subject: str | None
    reply_to_guid: str | None
    edited_at: datetime | None
    edits: list[Edit]
    unsent: bool
    deleted_at: datetime | None  # set: in "Recently Deleted"
    effect: str | None
    error_code: int | None  # set: sending failed
    reactions: list[Reaction]
    attachments: list[Attachment]  # in the order of the parts of the message
    event: GroupEvent | None
    link: LinkPreview | None


class MessageColumns(NamedTuple):
    """Messages in rowid order, a field of `Message` a column: what each has, then what few have.

    Most fields of most messages say nothing. Those are maps from the place in the batch, from 0,
    so that nobody makes, sends or reads what is not there.
    """

    id: list[int]
    guid: list[str]
    conversation_id: list[int | None]
    sent_at: list[datetime | None]
    is_from_me: list[bool]
    sender: list[str | None]
    service: list[str | None]
    kind: list[str]
    text: list[str | None]
    subject: dict[int, str]
    reply_to_guid: dict[int, str]
    edited_at: dict[int, datetime]
    edits: dict[int, list[Edit]]
    unsent: dict[int, bool]
    deleted_at: dict[int, datetime]
    effect: dict[int, str]
    error_code: dict[int, int]
    reactions: dict[int, list[Reaction]]
    attachments: dict[int, list[Attachment]]
    event: dict[int, GroupEvent]
    link: dict[int, LinkPreview]

    @classmethod
    def none(cls) -> Self:
        """No message at all."""
        return cls([], [], [], [], [], [], [], [], [], *({} for _ in _NOTHING))

    @property
    def whole(self) -> bool:
        """Whether all columns are of the same messages, as the parser makes them."""
        many = len(self.id)
        return all(len(column) == many for column in self._all) and all(
            min(told) >= 0 and max(told) < many for told in self._few if told
        )

    def part(self, which: slice) -> "MessageColumns":
        """Messages of a slice of the places, whose start and stop are given."""
        start, stop = which.start, which.stop
        if (start, stop) == (0, len(self.id)):
            return self
        few = (
            {place - start: one for place, one in told.items() if start <= place < stop}
            for told in self._few
        )
        return MessageColumns(*(column[which] for column in self._all), *few)

    def records(self) -> list[Message]:
        """One by one."""
        many = len(self.id)
        few = (
            spread(told, many, nothing) for told, nothing in zip(self._few, _NOTHING, strict=True)
        )
        return list(map(Message._make, zip(*self._all, *few, strict=True)))

    @property
    def _all(self) -> tuple[Any, ...]:
        """Columns with a cell for every message."""
        return self[: -len(_NOTHING)]

    @property
    def _few(self) -> tuple[Any, ...]:
        """Columns by place."""
        return self[-len(_NOTHING) :]


# What the columns that few messages have mean for the others.
_NOTHING: tuple[Any, ...] = (None, None, None, [], False, None, None, None, [], [], None, None)


def spread(told: Mapping[int, T], many: int, nothing: N) -> Iterable[T | N]:
    """A column of `many` cells out of what some of them say."""
    if not told:
        return repeat(nothing, many)
    column: list[T | N] = [nothing] * many
    for place, one in told.items():
        column[place] = one
    return column
