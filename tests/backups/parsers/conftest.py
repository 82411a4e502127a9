from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backups.parsers.phone import Phone


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Phone]:
    made = Phone(tmp_path / "sms.db")
    yield made
    made.close()
