from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backups.item_ids import ItemIds


@given(st.uuids(), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_every_number_has_an_id_of_its_own(backup: UUID, one: int, two: int) -> None:
    ids = ItemIds(backup, "message")

    assert ids.number(ids.of(one)) == one
    assert (ids.of(one) == ids.of(two)) == (one == two)
    assert (ids.of(one).version, ids.of(one).variant) == (8, "specified in RFC 4122")


@given(st.uuids(), st.uuids())
def test_an_id_means_nothing_elsewhere(backup: UUID, other: UUID) -> None:
    item = ItemIds(backup, "message").of(7)

    assert ItemIds(backup, "conversation").number(item) is None
    if other != backup:
        assert ItemIds(other, "message").number(item) is None
    assert ItemIds(backup, "message").number(other) is None


@pytest.mark.parametrize("number", [0, 1, 2**62 - 1, 2**62, 2**63 - 1])
def test_the_ends_of_the_range(number: int) -> None:
    ids = ItemIds(UUID(int=1), "message")

    assert ids.number(ids.of(number)) == number
