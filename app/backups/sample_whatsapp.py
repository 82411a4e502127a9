"""The rows of the made-up WhatsApp database (see `app.backups.sample`).

Source: docs/formats.md, WhatsApp.
"""

import random
import sqlite3
from collections import Counter
from typing import Any

from app.backups.sample_messages import NEWEST_S, PEOPLE, insert, sentence

SCHEMA = """
CREATE TABLE ZWACHATSESSION (Z_PK INTEGER PRIMARY KEY, ZSESSIONTYPE INTEGER, ZCONTACTJID VARCHAR,
    ZPARTNERNAME VARCHAR, ZARCHIVED INTEGER, ZHIDDEN INTEGER, ZREMOVED INTEGER,
    ZUNREADCOUNT INTEGER, ZMESSAGECOUNTER INTEGER, ZGROUPINFO INTEGER, ZLASTMESSAGEDATE TIMESTAMP);
CREATE TABLE ZWAMESSAGE (Z_PK INTEGER PRIMARY KEY, ZISFROMME INTEGER, ZTEXT VARCHAR,
    ZMESSAGEDATE TIMESTAMP, ZCHATSESSION INTEGER, ZGROUPMEMBER INTEGER, ZFROMJID VARCHAR,
    ZMEDIAITEM INTEGER, ZMESSAGEINFO INTEGER, ZMESSAGETYPE INTEGER, ZGROUPEVENTTYPE INTEGER,
    ZSTANZAID VARCHAR, ZSTARRED INTEGER, ZMESSAGESTATUS INTEGER);
CREATE TABLE ZWAGROUPMEMBER (Z_PK INTEGER PRIMARY KEY, ZISACTIVE INTEGER, ZISADMIN INTEGER,
    ZCHATSESSION INTEGER, ZMEMBERJID VARCHAR, ZCONTACTNAME VARCHAR);
CREATE TABLE ZWAGROUPINFO (Z_PK INTEGER PRIMARY KEY, ZCHATSESSION INTEGER,
    ZCREATIONDATE TIMESTAMP, ZCREATORJID VARCHAR);
CREATE TABLE ZWAMEDIAITEM (Z_PK INTEGER PRIMARY KEY, ZMESSAGE INTEGER, ZMEDIALOCALPATH VARCHAR,
    ZFILESIZE INTEGER, ZTITLE VARCHAR, ZVCARDSTRING VARCHAR, ZLATITUDE FLOAT, ZLONGITUDE FLOAT);
CREATE TABLE ZWAMESSAGEINFO (Z_PK INTEGER PRIMARY KEY, ZMESSAGE INTEGER, ZRECEIPTINFO BLOB);
CREATE TABLE ZWAPROFILEPUSHNAME (Z_PK INTEGER PRIMARY KEY, ZJID VARCHAR, ZPUSHNAME VARCHAR);
"""
_SPACING_S = 1800
_HOST = "@s.whatsapp.net"
_STRANGER = f"447700900123{_HOST}"  # nobody in the address book


def write(db: sqlite3.Connection, chance: random.Random, truth: Counter[str], count: int) -> None:
    """Fill the tables with `count` messages, and count in `truth`."""
    jids = [f"{number.lstrip('+')}{_HOST}" for number in PEOPLE[:6]] + [_STRANGER]
    group = len(jids) + 1
    chats = [
        (n, 0, jid, None if jid == _STRANGER else f"WhatsApp {n}") for n, jid in enumerate(jids, 1)
    ]
    chats.append((group, 1, "15550100000-1600000000@g.us", "Sailing club"))
    insert(db, "ZWACHATSESSION", "Z_PK ZSESSIONTYPE ZCONTACTJID ZPARTNERNAME", chats)
    db.execute(
        "UPDATE ZWACHATSESSION SET ZARCHIVED = 0, ZHIDDEN = 0, ZREMOVED = 0, ZUNREADCOUNT = 0"
    )
    members = [(number, 1, number == 1, group, jid) for number, jid in enumerate(jids, 1)]
    insert(db, "ZWAGROUPMEMBER", "Z_PK ZISACTIVE ZISADMIN ZCHATSESSION ZMEMBERJID", members)
    insert(db, "ZWAPROFILEPUSHNAME", "Z_PK ZJID ZPUSHNAME", [(1, _STRANGER, "Skipper")])
    messages: list[tuple[Any, ...]] = []
    media: list[tuple[Any, ...]] = []
    for number in range(1, count + 1):
        chat = chance.randint(1, group)
        mine = chance.random() < 0.4
        sender = chance.randint(1, len(jids)) if chat == group and not mine else None
        kind = 1 if number % 10 == 0 else 0
        text = None if kind else sentence(chance)
        if number == 1:
            text = "the regatta starts at the lighthouse"
        at = NEWEST_S - (count - number) * _SPACING_S
        item = len(media) + 1 if kind else None
        if kind:
            caption = sentence(chance) if number % 20 == 0 else None
            path = f"Media/{chats[chat - 1][2]}/a/b/{number:08d}.jpg"
            media.append((item, number, path, 2048, caption, "image/jpeg"))
        messages.append(
            (number, mine, text, float(at), chat, sender, None if mine else chats[chat - 1][2],
             item, kind, 2, f"3A{number:018X}", number % 50 == 0, 8)
        )  # fmt: skip
    columns = "Z_PK ZISFROMME ZTEXT ZMESSAGEDATE ZCHATSESSION ZGROUPMEMBER ZFROMJID ZMEDIAITEM"
    columns += " ZMESSAGETYPE ZGROUPEVENTTYPE ZSTANZAID ZSTARRED ZMESSAGESTATUS"
    insert(db, "ZWAMESSAGE", columns, messages)
    columns = "Z_PK ZMESSAGE ZMEDIALOCALPATH ZFILESIZE ZTITLE ZVCARDSTRING"
    insert(db, "ZWAMEDIAITEM", columns, media)
    truth.update(whatsapp_chats=group, whatsapp_messages=count, whatsapp_attachments=len(media))
