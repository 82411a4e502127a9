"""The made-up backup of the application, where tests look for it."""

from app.backups.sample import attributed_body, make_backup

__all__ = ["attributed_body", "make_backup"]
