import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backups.parsers.typedstream import ATTACHMENT, LINK, PART, TRANSCRIPTION, read, text_of
from app.backups.parsers.unarchiver import TypedStreamError
from tests.backups.sample import attributed_body

START = b"\x04\x0bstreamtyped\x81\xe8\x03\x84\x01@"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=400)


def test_parts_name_their_attachments_in_order() -> None:
    body = runs(
        "\ufffcsee both\ufffc",
        [
            (1, {PART: 0, ATTACHMENT: "at_0_FIRST"}),
            (8, {PART: 1}),
            (1, {PART: 2, ATTACHMENT: "at_2_SECOND"}),
        ],
    )

    found = read(body)

    assert found.text == "\ufffcsee both\ufffc"
    assert [run.text for run in found.runs] == ["\ufffc", "see both", "\ufffc"]
    assert found.attachments() == [(0, "at_0_FIRST"), (2, "at_2_SECOND")]


def test_links_and_transcriptions_are_read() -> None:
    body = runs(
        "go 😀 here", [(6, {PART: 0}), (4, {LINK: "https://example.com", TRANSCRIPTION: "hi"})]
    )

    found = read(body)

    assert found.links() == [("here", "https://example.com")]
    assert found.transcription() == "hi"
    assert found.mentions() == []


@given(TEXT)
def test_the_quick_way_and_the_whole_reader_agree(text: str) -> None:
    body = attributed_body(text)

    assert text_of(body) == text
    assert read(body).text == text
    assert "".join(run.text for run in read(body).runs) == text


def test_a_length_that_overruns_the_blob_is_cut_at_the_end_of_the_object() -> None:
    body = attributed_body("This is parsing").replace(b"\x84\x01+\x0f", b"\x84\x01+\x81\x9d\x00")

    assert text_of(body) == "This is parsing"
    with pytest.raises(TypedStreamError):
        read(body)


@pytest.mark.parametrize(
    "body", [b"", b"\x84\x01+", b"\x84\x01+\x81", b"text", START, START + b"\x85"]
)
def test_a_blob_without_text_has_none(body: bytes) -> None:
    assert not text_of(body)
    with pytest.raises(TypedStreamError):
        read(body)


@given(st.data())
def test_damage_gives_text_or_the_typed_error(data: st.DataObject) -> None:
    body = bytearray(runs("one\ufffctwo", [(3, {PART: 0}), (1, {ATTACHMENT: "X"}), (3, {PART: 2})]))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(14, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))])

    assert isinstance(text_of(cut), str | None)
    try_to_read(cut)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_give_text_or_the_typed_error(tail: bytes) -> None:
    assert isinstance(text_of(tail), str | None)
    try_to_read(START + tail)


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x84\x84\x84\x01A\x00\x85" + b"\x92\x84\x93" * 100_000,  # objects within objects
        b"\x84\x84\x84\x01A\x00" + b"\x84\x84\x01A\x00" * 100_000,  # superclasses without end
        b"\x84\x84\x84\x01A\x00\x85\x84\x81\xff\x7f" + b"!" * 32767 + b"\x94" * 100_000,
        b"\x84\x84\x84\x01A\x00\x85\x84\x81\xff\x7f" + b"c" * 32767 + b"\x94" * 200_000,
        b"\x84\x84\x84\x01A\x00\x85\x84\x0b[999999999c]"[:-1],
        b"\x84\x84\x84\x01A\x00\x85\x84\x0c[9999999[0c]]",
    ],
)
def test_bombs_end_at_once(bomb: bytes) -> None:
    started = time.perf_counter()

    with pytest.raises(TypedStreamError):
        read(START + bomb)

    assert time.perf_counter() - started < 1


def test_shared_objects_are_not_unfolded() -> None:
    # Thirty objects, each holding the next one twice: 2^30 paths to the innermost.
    nested = b"\x85"
    for depth in range(30, 0, -1):
        shared = bytes((0x92 + 1 + depth,)) if depth < 30 else b"\x85"
        nested = b"\x84\x93\x92" + nested + b"\x92" + shared + b"\x86"
    started = time.perf_counter()

    with pytest.raises(TypedStreamError):
        read(START + b"\x84\x84\x84\x01A\x00\x85\x92" + nested + b"\x86")

    assert time.perf_counter() - started < 1


def try_to_read(body: bytes) -> None:
    try:
        found = read(body)
    except TypedStreamError:
        return
    assert isinstance(found.text, str)
    assert found.attachments() is not None
    assert found.links() is not None
    assert isinstance(found.transcription(), str | None)


def runs(text: str, attributes: Iterable[tuple[int, dict[str, str | int]]]) -> bytes:
    """A typedstream written without sharing more than it must."""
    body = START + b"\x84" + new_class("NSAttributedString") + b"\x92" + string(text)
    for index, (units, values) in enumerate(attributes, 1):
        body += b"\x84\x02iI" + bytes((index, units))
        body += b"\x92\x84" + new_class("NSDictionary") + b"\x84\x01i" + bytes((len(values),))
        for key, value in values.items():
            body += b"\x92" + string(key) + b"\x92" + any_value(value)
        body += b"\x86"
    return body + b"\x86"


def any_value(value: str | int) -> bytes:
    return string(value) if isinstance(value, str) else number(value)


def number(value: str | int) -> bytes:
    kind = b"\x84\x01*\x84\x84\x01i\x84\x01i" + bytes((int(value),))
    return b"\x84" + new_class("NSNumber") + kind + b"\x86"


def string(value: str) -> bytes:
    raw = value.encode()
    return b"\x84" + new_class("NSString") + b"\x84\x01+" + bytes((len(raw),)) + raw + b"\x86"


def new_class(name: str) -> bytes:
    return b"\x84\x84" + bytes((len(name),)) + name.encode() + b"\x00\x85"
