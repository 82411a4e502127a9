from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backups.parsers.message_records import MessageColumns, Reaction, spread
from tests.backups.parsers.columns import MOMENT, messages

LIKED = [Reaction("like", None, "+491", False, MOMENT)]


def test_what_few_messages_have_is_nothing_in_the_others() -> None:
    found = messages(3, unsent={1: True}, reactions={2: LIKED}, subject={0: "Hi"}).records()

    assert [one.id for one in found] == [1, 2, 3]
    assert [one.subject for one in found] == ["Hi", None, None]
    assert [one.unsent for one in found] == [False, True, False]
    assert [one.reactions for one in found] == [[], [], LIKED]
    assert [(one.edits, one.attachments, one.link) for one in found] == [([], [], None)] * 3
    assert MessageColumns.none().records() == []


@given(
    st.integers(1, 12).flatmap(
        lambda many: st.tuples(
            st.just(many),
            st.sets(st.integers(0, many), max_size=4),
            st.dictionaries(st.integers(0, many - 1), st.text(max_size=2)),
        )
    )
)
def test_the_parts_are_the_whole(given_: tuple[int, set[int], dict[int, str]]) -> None:
    many, cuts, subjects = given_
    whole = messages(many, subject=subjects)

    stops = sorted({0, *cuts, many})
    parts = [whole.part(slice(start, stop)) for start, stop in pairwise(stops)]

    assert [one for part in parts for one in part.records()] == whole.records()
    assert all(part.whole for part in parts)


@pytest.mark.parametrize(
    "wrong",
    [
        messages(2)._replace(guid=["G1"]),
        messages(2)._replace(text=["a", "b", "c"]),
        messages(2, subject={2: "beyond"}),
        messages(2, effect={-1: "before"}),
        messages(0, unsent={0: True}),
    ],
)
def test_columns_of_different_messages_are_not_whole(wrong: MessageColumns) -> None:
    assert not wrong.whole


def test_a_column_is_as_long_as_it_is_said_to_be() -> None:
    assert list(spread({}, 2, None)) == [None, None]
    assert list(spread({1: "b"}, 3, "a")) == ["a", "b", "a"]
