"""A Calendar database for tests: the tables of iOS 17 and something of everything."""

from pathlib import Path
from typing import Any

from app.backups.parsers.calendar import RawItem
from tests.backups.parsers.tables import Tables

TABLES = {
    "CalendarItem": ", ".join(RawItem._fields[1:]),
    "Calendar": "store_id, title, color, UUID, sharing_status",
    "Store": "name, type, disabled",
    "Recurrence": "frequency, interval, week_start, count, end_date, specifier, owner_id",
    "ExceptionDate": "owner_id, date",
    "Alarm": "trigger_date, trigger_interval, calendaritem_owner_id, disabled",
    "Participant": "entity_type, status, identity_id, owner_id, email",
    "Identity": "display_name, address, first_name, last_name",
    "Location": "title, address, latitude, longitude, item_owner_id",
}
START = 748800000  # 2024-09-23 16:00 UTC


class Agenda(Tables):
    """Calendar 1 ("Work") of a CalDAV account, and whatever a test adds."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, TABLES)
        self.add("Store", name="iCloud", type=2)
        self.add("Calendar", store_id=1, title="Work", color="#63DA38", UUID="C1")

    def event(self, **columns: Any) -> int:
        """Add an event, of an hour in Berlin unless said otherwise."""
        row = {
            "calendar_id": 1, "entity_type": 2, "start_date": float(START), "all_day": 0,
            "end_date": START + 3600.0, "start_tz": "Europe/Berlin", "orig_item_id": 0, **columns,
        }  # fmt: skip
        return self.add("CalendarItem", **row)

    def repeat(self, event: int, frequency: int, specifier: str | None = None, **more: Any) -> None:
        row = {"interval": 1, "count": 0, "week_start": 1, **more}
        self.add("Recurrence", owner_id=event, frequency=frequency, specifier=specifier, **row)

    def fill(self, events: int) -> "Agenda":
        """Events with something of everything."""
        self.add("Identity", display_name="Ada", address="mailto:ada@example.com")
        for number in range(events):
            one = self.event(
                summary=f"boat {number}", description="oar " * 30, unique_identifier=f"U{number}",
                status=1, url="https://example.com", creation_date=7e8, last_modified=7e8,
            )  # fmt: skip
            self.repeat(one, 2, "D=0MO,+2WE", interval=2, week_start=7)
            self.add("ExceptionDate", owner_id=one, date=START + 604800.0)
            self.add("Alarm", trigger_interval=-900, calendaritem_owner_id=one)
            for kind in (7, 8):
                self.add("Participant", entity_type=kind, status=2, identity_id=1, owner_id=one)
            self.add("Location", title="Pier", latitude=1.5, longitude=2.5, item_owner_id=one)
        return self
