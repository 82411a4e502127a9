import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backups.parsers.protobuf import MAX_FIELDS, ProtobufError, decode
from tests.backups.parsers.wire import field

FIELDS = st.lists(
    st.tuples(st.integers(1, 2**29 - 1), st.one_of(st.integers(0, 2**64 - 1), st.binary()))
)


@given(FIELDS)
def test_what_was_written_is_read(fields: list[tuple[int, int | bytes]]) -> None:
    read = decode(b"".join(field(number, value) for number, value in fields))

    for number in {number for number, _ in fields}:
        assert read[number] == [value for n, value in fields if n == number]


@given(st.binary(max_size=300))
def test_noise_is_fields_or_one_kind_of_error(noise: bytes) -> None:
    try:
        fields = decode(noise)
        for number in fields:
            fields.number(number), fields.text(number), fields.blob(number)
    except ProtobufError:
        return


def test_values_by_their_kind() -> None:
    fields = decode(field(1, 7) + field(1, 300) + field(2, "a\0b") + field(3, field(1, "x")))

    assert (fields.number(1), fields.number(2), fields.number(9)) == (300, None, None)
    assert (fields.text(2), fields.text(1), fields.blob(1)) == ("ab", None, None)
    assert fields.message(3).text(1) == "x"
    assert [one.text(1) for one in fields.messages(3)] == ["x"]
    assert fields.message(9) == {}
    assert decode(b"\x0d\1\0\0\0\x11\2\0\0\0\0\0\0\0") == {1: [b"\1\0\0\0"], 2: [b"\2" + b"\0" * 7]}


@pytest.mark.parametrize(
    "damaged",
    [b"\x08", b"\x0a\x05abc", b"\x0b", b"\x08" + b"\xff" * 11, b"\x0a" + b"\xff" * 9 + b"\x01"],
)
def test_damage_is_told(damaged: bytes) -> None:
    with pytest.raises(ProtobufError):
        decode(damaged)


def test_a_message_of_millions_of_fields_is_given_up() -> None:
    started = time.perf_counter()

    with pytest.raises(ProtobufError, match="too many"):
        decode(b"\x08\x01" * (MAX_FIELDS + 1))

    assert time.perf_counter() - started < 5
