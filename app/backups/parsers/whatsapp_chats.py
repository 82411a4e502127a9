"""WhatsApp's chats and who is in them.

Reads `ZWACHATSESSION`: ZCONTACTJID, ZCONTACTIDENTIFIER, ZPARTNERNAME, ZSESSIONTYPE, ZARCHIVED,
ZHIDDEN, ZREMOVED, ZUNREADCOUNT. `ZWAGROUPINFO`: ZCHATSESSION, ZCREATIONDATE, ZCREATORJID,
ZOWNERJID. `ZWAGROUPMEMBER`: ZCHATSESSION, ZMEMBERJID, ZCONTACTIDENTIFIER, ZCONTACTNAME, ZFIRSTNAME,
ZISADMIN, ZISACTIVE. `ZWAMESSAGE`: ZCHATSESSION, ZMESSAGEDATE.

Source: docs/formats.md, WhatsApp.
"""

from datetime import datetime

from app.backups.parsers.artifact import all_rows
from app.backups.parsers.cells import code_of, line_of, time_of
from app.backups.parsers.jids import People, is_person, jid_of, name_of, pair, title_of
from app.backups.parsers.source import Row, Source, Table
from app.backups.parsers.whatsapp_records import Chat, Participant, Person

_SESSIONS = Table(
    "ZWACHATSESSION",
    (
        "ZCONTACTJID",
        "ZCONTACTIDENTIFIER",
        "ZPARTNERNAME",
        "ZSESSIONTYPE",
        "ZARCHIVED",
        "ZHIDDEN",
        "ZREMOVED",
        "ZUNREADCOUNT",
    ),
)
_GROUPS = Table("ZWAGROUPINFO", ("ZCHATSESSION", "ZCREATIONDATE", "ZCREATORJID", "ZOWNERJID"))
_MEMBERS = Table(
    "ZWAGROUPMEMBER",
    (
        "ZCHATSESSION",
        "ZMEMBERJID",
        "ZCONTACTIDENTIFIER",
        "ZCONTACTNAME",
        "ZFIRSTNAME",
        "ZISADMIN",
        "ZISACTIVE",
    ),
)
_DATES = Table("ZWAMESSAGE", ("ZCHATSESSION", "ZMESSAGEDATE"))
_TYPES = {0: "direct", 1: "group", 2: "broadcast", 3: "status", 4: "community"}
_NUMBERS = frozenset({int, float})
_NEVER = 6.3e9  # seconds: the year 2200
_SERVERS = {"g.us": "group", "newsletter": "channel", "broadcast": "broadcast"}


class Chats:
    """All chats and the members of groups, held in memory.

    Attributes:
        total: how many messages there are, in chats or not.
    """

    def __init__(self, source: Source, people: People) -> None:
        self._people = people
        self._rows = {row[0]: row for row in all_rows(source, _SESSIONS)}
        self._jids = {rowid: jid_of(row[1]) for rowid, row in self._rows.items()}
        self._members: dict[int, str] = {}
        self._in_chat: dict[int, list[Participant]] = {}
        self._last_choice: dict[str, str] = {}
        for row in self._rows.values():
            self._meet_partner(row)
        for row in all_rows(source, _MEMBERS):
            self._add_member(row)
        self._groups = {row[1]: row for row in all_rows(source, _GROUPS) if type(row[1]) is int}
        self.total, self._counts, self._latest = self._numbers(source)

    def id_of(self, chat: object) -> int | None:
        """The number of a chat, if there is such a chat."""
        return chat if type(chat) is int and chat in self._rows else None

    def sender(self, chat: int | None, member: object, sender: object) -> str | None:
        """Who sent a message that is not one's own.

        Args:
            chat: its chat.
            member: ZGROUPMEMBER, which names the sender within a group.
            sender: ZFROMJID, which within a group is the group.
        """
        named = self._members.get(member) if type(member) is int else None
        if named is None:
            named = jid_of(sender) or (None if chat is None else self._jids[chat])
        return named if named is not None and is_person(named) else None

    def everybody(self) -> list[Person]:
        """Everybody whom the chats, the groups or the databases beside them name."""
        return self._people.all(self._last_choice)

    def all(self) -> list[Chat]:
        """All chats, in rowid order."""
        return [self._chat(row) for row in self._rows.values()]

    def _meet_partner(self, row: Row) -> None:
        jid = self._jids[row[0]]
        if jid is not None and is_person(jid):
            self._people.meet(jid, row[3])
            self._people.same(pair(jid, jid_of(row[2])))

    def _add_member(self, row: Row) -> None:
        rowid, chat, address, identifier, name, first, admin, active = row
        jid = jid_of(address)
        if jid is None:
            return
        self._members[rowid] = jid
        self._people.meet(jid)
        self._people.same(pair(jid, jid_of(identifier)))
        called = name_of(name) or name_of(first)
        if called:
            self._last_choice.setdefault(jid, called)
        if type(chat) is int:
            one = Participant(jid, bool(admin), active != 0)
            self._in_chat.setdefault(chat, []).append(one)

    def _numbers(self, source: Source) -> tuple[int, dict[int, int], dict[int, float]]:
        total, counts = 0, dict.fromkeys(self._rows, 0)
        latest = dict.fromkeys(self._rows, 0.0)
        for _, chat, date in all_rows(source, _DATES):
            total += 1
            if type(chat) is int and chat in counts:
                counts[chat] += 1
                if type(date) in _NUMBERS and latest[chat] < date < _NEVER:
                    latest[chat] = date
        return total, counts, latest

    def _chat(self, row: Row) -> Chat:
        rowid, address, _, name, type_, archived, hidden, removed, unread = row
        jid = self._jids[rowid]
        created, creator = self._origin(rowid)
        participants = self._in_chat.get(rowid, [])
        if not participants and jid is not None and is_person(jid):
            participants = [Participant(jid, is_admin=False, is_active=True)]
        return Chat(
            rowid,
            jid or line_of(address) or f"chat-{rowid}",
            _kind(jid, type_),
            title_of(name),
            participants,
            bool(archived),
            bool(hidden),
            bool(removed),
            max(code_of(unread) or 0, 0),
            self._counts[rowid],
            time_of(self._latest[rowid]),
            created,
            creator,
        )

    def _origin(self, chat: int) -> tuple[datetime | None, str | None]:
        if chat not in self._groups:
            return None, None
        _, _, created, creator, owner = self._groups[chat]
        return time_of(created), jid_of(creator) or jid_of(owner)


def _kind(jid: str | None, type_: object) -> str:
    server = "" if jid is None else jid.partition("@")[2]
    kind = _TYPES.get(type_) if type(type_) is int else None
    if jid == "status@broadcast":
        return "status"
    if server == "newsletter" or kind is None:
        return _SERVERS.get(server, "direct" if jid and is_person(jid) else "other")
    return kind
