"""Tapbacks: rows of `message` that say what somebody thinks of another message.

Reads `message`: associated_message_guid, associated_message_type, associated_message_emoji,
handle_id, is_from_me, date, destination_caller_id, account.
Source: docs/formats.md, Messages.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from app.backups.parsers.apple_time import from_apple
from app.backups.parsers.message_records import Reaction
from app.backups.parsers.source import Row, Source, Table

FIRST_REACTION, FIRST_REMOVAL, AFTER_REMOVALS = 2000, 3000, 4000  # associated_message_type
_KINDS = ("love", "like", "dislike", "laugh", "emphasise", "question", "emoji", "sticker")
_STICKER = 7
_TABLE = Table(
    "message",
    (
        "associated_message_guid",
        "associated_message_type",
        "associated_message_emoji",
        "handle_id",
        "is_from_me",
        "date",
        "destination_caller_id",
        "account",
    ),
)


_Key = tuple[str, str | None, bool, int | None]  # part, who, and of a sticker its rowid


class _Tapback(NamedTuple):
    """One row, ordered in time."""

    at: int
    rowid: int
    part: str
    code: int
    emoji: str | None
    sender: str | None
    is_from_me: bool


def is_reaction(association: object) -> bool:
    """Whether a row with this associated_message_type is a reaction and so not a message."""
    return type(association) is int and FIRST_REACTION <= association < AFTER_REMOVALS


class Reactions:
    """All reactions of a database, by the guid of their target. About 450 bytes each.

    Attributes:
        rows: how many rows of `message` are reactions, removals included.
        rowids: their rowids.
    """

    def __init__(
        self, source: Source, sender_of: Callable[[Any, Any, Any, Any], str | None]
    ) -> None:
        """Read them. `sender_of` takes is_from_me, handle_id, destination_caller_id, account."""
        self.rowids: set[int] = set()
        self._by_target: dict[str, list[_Tapback]] = {}
        self._aimless = 0
        same: dict[Any, Any] = {}  # what many have in common is held once
        for rowid, target, code, emoji, handle, mine, at, caller, account in _rows(source):
            if not is_reaction(code) or rowid in self.rowids:
                continue
            part, guid = split_target(target)
            if guid:
                self.rowids.add(rowid)
                kind: Any = same.setdefault(code, code)
                tapback = _Tapback(
                    at if type(at) is int else 0,
                    rowid,
                    same.setdefault(part, part),
                    kind,
                    same.setdefault(emoji, emoji) if isinstance(emoji, str) else None,
                    sender_of(mine, handle, caller, account),
                    bool(mine),
                )
                if guid in self._by_target:
                    self._by_target[guid].append(tapback)
                else:
                    self._by_target[guid] = [tapback]  # a list that grew has room for four

    @property
    def rows(self) -> int:
        """How many rows of `message` are reactions, removals included."""
        return len(self.rowids)

    @property
    def orphans(self) -> int:
        """How many rows have no target, or one that was not yet asked for."""
        return self._aimless + sum(map(len, self._by_target.values()))

    def add_aimless(self, rowid: int) -> None:
        """Count a row that the scan of `message` found to be a reaction to nothing."""
        if rowid not in self.rowids:
            self.rowids.add(rowid)
            self._aimless += 1

    def take(self, guids: Iterable[str]) -> dict[int, list[Reaction]]:
        """The reactions that stand on these messages, by place, oldest first; and forget them."""
        aims, found = self._by_target, {}
        for place, guid in enumerate(guids):
            if guid in aims and (standing := _standing(aims.pop(guid))):
                found[place] = standing
        return found

    def forget(self, guids: Iterable[str]) -> None:
        """Drop the reactions on messages that were handed out in an earlier run."""
        for guid in guids:
            self._by_target.pop(guid, None)


def split_target(target: object) -> tuple[str, str]:
    """Part and guid of an associated_message_guid: `p:0/<guid>`, `bp:<guid>` or the bare guid."""
    if not isinstance(target, str):
        return "", ""
    part, slash, guid = target.rpartition("/")
    if slash:
        return part, guid
    return "", target.removeprefix("bp:")


def _rows(source: Source) -> Iterator[Row]:
    if "associated_message_type" not in source.columns("message"):
        return
    # `> ''` makes SQLite use the index on the guid where there is one: 12 ms instead of 200 ms
    # for 100,000 messages. Rows without a guid have no target, and the scan counts them.
    sql = source.select(_TABLE) + (
        " WHERE associated_message_guid > ''"
        f" AND associated_message_type BETWEEN {FIRST_REACTION} AND {AFTER_REMOVALS - 1}"
    )
    try:
        for rows in source.query(sql):
            yield from rows
    except sqlite3.DatabaseError:
        for rows in source.scan(_TABLE):
            yield from rows


def _standing(tapbacks: list[_Tapback]) -> list[Reaction]:
    """Fold a history: one reaction a person and part, the latest; stickers add up."""
    standing: dict[_Key, _Tapback] = {}
    stickers: dict[Any, list[_Key]] = {}  # those that stand, by who put them where
    for tapback in sorted(tapbacks):
        which = tapback.code % 1000
        own = tapback.rowid if which == _STICKER and tapback.code < FIRST_REMOVAL else None
        key = (tapback.part, tapback.sender, tapback.is_from_me, own)
        if tapback.code < FIRST_REMOVAL:
            standing.pop(key, None)  # so that the order stays that of time
            standing[key] = tapback
            if which == _STICKER:
                stickers.setdefault(key[:3], []).append(key)
        elif which == _STICKER:
            if mine := stickers.get(key[:3]):
                del standing[mine.pop()]
        elif key in standing and standing[key].code == tapback.code - 1000:
            del standing[key]
    return [
        Reaction(_kind(t.code), t.emoji, t.sender, t.is_from_me, from_apple(t.at))
        for t in standing.values()
    ]


def _kind(code: int) -> str:
    which = code % 1000
    return _KINDS[which] if which < len(_KINDS) else "other"
