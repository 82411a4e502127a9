"""The tables of the calendar. See `base`."""

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.backups.items.base import Item, Listed, MaybeListed, MaybeText, MaybeTime, list_index
from app.core.columns import Json, UtcDateTime


class CalendarSheet(Item):
    """A calendar; `number` is Calendar.ROWID."""

    __tablename__ = "calendars"

    uuid: MaybeText = mapped_column(Text)
    title: MaybeText = mapped_column(Text)
    color: MaybeText = mapped_column(Text)
    source: MaybeText = mapped_column(Text)
    source_type: Mapped[str] = mapped_column(String(32))
    hidden: Mapped[bool]
    shared: Mapped[bool]

    __table_args__ = ({"sqlite_with_rowid": False},)


class CalendarEvent(Item):
    """An event or reminder; `number` is CalendarItem.ROWID."""

    __tablename__ = "calendar_events"

    uid: MaybeText = mapped_column(Text)
    uuid: MaybeText = mapped_column(Text)
    calendar: Mapped[int | None] = mapped_column(BigInteger)  # CalendarSheet.number
    kind: Mapped[str] = mapped_column(String(32))
    title: MaybeText = mapped_column(Text)
    description: MaybeText = mapped_column(Text)
    location: MaybeText = mapped_column(Text)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    starts_at: MaybeTime = mapped_column(UtcDateTime)  # floating: the wall clock, read as if UTC
    ends_at: MaybeTime = mapped_column(UtcDateTime)
    all_day: Mapped[bool]
    floating: Mapped[bool]
    time_zone: MaybeText = mapped_column(Text)
    status: MaybeText = mapped_column(Text)
    rrule: MaybeText = mapped_column(Text)
    exdates: Listed = mapped_column(Json)
    recurrence_id: MaybeTime = mapped_column(UtcDateTime)
    recurs_from: Mapped[int | None] = mapped_column(BigInteger)
    url: MaybeText = mapped_column(Text)
    conference_url: MaybeText = mapped_column(Text)
    organizer: MaybeListed = mapped_column(Json)  # [name, email]
    attendees: Listed = mapped_column(Json)  # [name, email, status]
    alarms: Listed = mapped_column(Json)  # [offset_seconds, at]
    is_birthday: Mapped[bool]
    birth_year_known: Mapped[bool]
    hidden: Mapped[bool]
    availability: Mapped[int | None] = mapped_column(BigInteger)
    created_at: MaybeTime = mapped_column(UtcDateTime)
    modified_at: MaybeTime = mapped_column(UtcDateTime)
    words: MaybeText = mapped_column(Text)

    __table_args__ = (list_index("calendar_events", "starts_at"), {"sqlite_with_rowid": False})
