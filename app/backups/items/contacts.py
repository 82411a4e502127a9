"""The table of the address book. See `base`."""

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from app.backups.items.base import Item, Listed, MaybeText, MaybeTime
from app.core.columns import Json, UtcDateTime


class Contact(Item):
    """A card of the address book; `number` is ABPerson.ROWID."""

    __tablename__ = "contacts"

    guid: Mapped[str] = mapped_column(Text)
    display_name: MaybeText = mapped_column(Text)
    first_name: MaybeText = mapped_column(Text)
    last_name: MaybeText = mapped_column(Text)
    middle_name: MaybeText = mapped_column(Text)
    prefix: MaybeText = mapped_column(Text)
    suffix: MaybeText = mapped_column(Text)
    nickname: MaybeText = mapped_column(Text)
    organization: MaybeText = mapped_column(Text)
    department: MaybeText = mapped_column(Text)
    job_title: MaybeText = mapped_column(Text)
    is_company: Mapped[bool]
    birthday: MaybeText = mapped_column(Text)
    note: MaybeText = mapped_column(Text)
    phones: Listed = mapped_column(Json)  # [label, value]
    emails: Listed = mapped_column(Json)  # [label, value]
    addresses: Listed = mapped_column(Json)
    urls: Listed = mapped_column(Json)  # [label, value]
    social: Listed = mapped_column(Json)
    related: Listed = mapped_column(Json)  # [label, value]
    dates: Listed = mapped_column(Json)  # [label, date]
    groups: Listed = mapped_column(Json)
    source: MaybeText = mapped_column(Text)
    linked_ids: Listed = mapped_column(Json)  # numbers of the other cards of this person
    has_image: Mapped[bool]
    created_at: MaybeTime = mapped_column(UtcDateTime)
    modified_at: MaybeTime = mapped_column(UtcDateTime)
    words: MaybeText = mapped_column(Text)

    __table_args__ = ({"sqlite_with_rowid": False},)
