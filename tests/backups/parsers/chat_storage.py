"""A WhatsApp database for tests: the tables of 2023 to 2026 and something of everything."""

from pathlib import Path
from typing import Any

from app.backups.parsers.whatsapp import RawMessage
from tests.backups.parsers.tables import Tables
from tests.backups.parsers.wire import field

TABLES = {
    "ZWAMESSAGE": ", ".join(RawMessage._fields[1:]),
    "ZWACHATSESSION": "ZCONTACTJID, ZCONTACTIDENTIFIER, ZPARTNERNAME, ZSESSIONTYPE, ZARCHIVED,"
    " ZHIDDEN, ZREMOVED, ZUNREADCOUNT",
    "ZWAGROUPINFO": "ZCHATSESSION, ZCREATIONDATE, ZCREATORJID, ZOWNERJID",
    "ZWAGROUPMEMBER": "ZCHATSESSION, ZMEMBERJID, ZCONTACTIDENTIFIER, ZCONTACTNAME, ZFIRSTNAME,"
    " ZISADMIN, ZISACTIVE",
    "ZWAMEDIAITEM": "ZMEDIALOCALPATH, ZVCARDSTRING, ZVCARDNAME, ZTITLE, ZFILESIZE, ZMOVIEDURATION,"
    " ZLATITUDE, ZLONGITUDE, ZMETADATA",
    "ZWAMESSAGEINFO": "ZRECEIPTINFO",
    "ZWAPROFILEPUSHNAME": "ZJID, ZPUSHNAME",
}
ADA, BO = "15550100001@s.whatsapp.net", "15550100002@s.whatsapp.net"
LID, GROUP = "205690463334636@lid", "120363023356659014@g.us"


class ChatStorage(Tables):
    """Chat 1 with Ada, chat 2 a group, in which Ada is member 1 and a LID member 2."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, TABLES)
        self.add("ZWACHATSESSION", ZCONTACTJID=ADA, ZPARTNERNAME="\u200eAda L", ZSESSIONTYPE=0)
        self.add("ZWACHATSESSION", ZCONTACTJID=GROUP, ZPARTNERNAME="Lake", ZSESSIONTYPE=1)
        self.add("ZWAGROUPINFO", ZCHATSESSION=2, ZCREATIONDATE=670009446, ZCREATORJID=ADA)
        self.add("ZWAGROUPMEMBER", ZCHATSESSION=2, ZMEMBERJID=ADA, ZISADMIN=1, ZISACTIVE=1)
        self.add("ZWAGROUPMEMBER", ZCHATSESSION=2, ZMEMBERJID=LID, ZCONTACTNAME="Carl")

    def message(self, **columns: Any) -> int:
        """Add a message, from Ada in chat 1 and plain unless said otherwise."""
        row = {
            "ZCHATSESSION": 1, "ZFROMJID": ADA, "ZISFROMME": 0, "ZMESSAGETYPE": 0,
            "ZMESSAGEDATE": 700000000, "ZGROUPEVENTTYPE": 2, **columns,
        }  # fmt: skip
        return self.add("ZWAMESSAGE", **row)

    def with_media(self, type_: int, **columns: Any) -> int:
        item = self.add("ZWAMEDIAITEM", **columns)
        return self.message(ZMESSAGETYPE=type_, ZMEDIAITEM=item)

    def fill(self, messages: int) -> "ChatStorage":
        """Messages with something of everything."""
        self.add("ZWAPROFILEPUSHNAME", ZJID=BO, ZPUSHNAME="Bo")
        for number in range(messages):
            item = self.add(
                "ZWAMEDIAITEM", ZMEDIALOCALPATH=f"Media/{number}.jpg", ZVCARDSTRING="image/jpeg",
                ZTITLE="boat", ZFILESIZE=10, ZMOVIEDURATION=2, ZLATITUDE=1.5, ZLONGITUDE=2.5,
                ZMETADATA=quoting("3A00"),
            )  # fmt: skip
            info = self.add("ZWAMESSAGEINFO", ZRECEIPTINFO=reacting(("👍", BO, 1683043229311)))
            self.message(
                ZMESSAGETYPE=(1, 4, 5, 6)[number % 4], ZMEDIAITEM=item, ZMESSAGEINFO=info,
                ZSTANZAID=f"3A{number}", ZTEXT="word " * 20, ZCHATSESSION=1 + number % 2,
                ZGROUPMEMBER=1,
            )  # fmt: skip
        return self


def quoting(stanza: str, text: str = "before", forwards: int = 0) -> bytes:
    told = field(5, stanza) + field(6, ADA) + field(19, field(1, text))
    return told + (field(17, forwards) if forwards else b"")


def reacting(*others: tuple[str, str, int], own: tuple[str, int] | None = None) -> bytes:
    """The receipts of a message with reactions (emoji, who, when in ms)."""
    told = b"".join(
        field(1, field(1, "key") + field(2, who) + field(3, emoji) + field(4, at))
        for emoji, who, at in others
    )
    if own is not None:
        told += field(2, field(1, "key") + field(2, own[0]) + field(3, own[1]) + field(4, 1))
    return field(4, 2) + field(7, told)
