"""The databases of a backup that are read, by their logical names.

Known to both sides: the child that reads and the parent that stores. Contacts come first, because
the others take names from them.
"""

from collections.abc import Mapping

# Each with the databases that are read beside it, where the backup has them.
ARTIFACTS: Mapping[str, tuple[str, ...]] = {
    "contacts": ("contact_images",),
    "messages": (),
    "whatsapp": ("whatsapp_contacts", "whatsapp_lid"),
    "notes": ("notes_legacy",),
    "calendar": (),
    "photos": (),
}
INSTEAD: Mapping[str, str] = {"whatsapp": "whatsapp_business", "notes": "notes_legacy"}
"""What is read where the database itself is not in the backup."""
EDITION = "2"  # raised when a newer parser should read again what has not changed
