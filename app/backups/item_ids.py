"""Ids of indexed items on the wire: UUIDs made of the backup and the item's number in the source.

Nothing of them is stored. The same item of the same backup has the same id in every generation,
so an id that somebody kept still means the same message after the backup was indexed again, and
two backups of one phone never share one. UUID version 8: 59 bits of sha256(backup, kind of item),
63 bits of number.
"""

import hashlib
from uuid import UUID

_VERSION, _VARIANT = 0x8 << 76, 0b10 << 62
_LOW = (1 << 62) - 1
_TOP_BIT = 64  # where bit 62 of the number goes: the last bit before the variant


class ItemIds:
    """The ids of one kind of item of one backup."""

    def __init__(self, backup_id: UUID, kind: str) -> None:
        digest = hashlib.sha256(backup_id.bytes + kind.encode()).digest()
        bits = int.from_bytes(digest[:8])
        high = (bits >> 16) << 80 | ((bits & 0x7FF) << 65)
        self._base = high | _VERSION | _VARIANT

    def of(self, number: int) -> UUID:
        """The id of the item with this number (0 to 2**63 - 1)."""
        return UUID(int=self._base | (number >> 62) << _TOP_BIT | (number & _LOW))

    def number(self, item_id: UUID) -> int | None:
        """The number in an id, or None where it belongs to another backup or kind."""
        number = (item_id.int >> _TOP_BIT & 1) << 62 | (item_id.int & _LOW)
        return number if self.of(number) == item_id else None
