"""The made-up backup of the application, where tests look for it."""

from app.backups.sample import make_backup
from app.backups.sample_messages import attributed_body

__all__ = ["attributed_body", "make_backup"]
