"""PDFs that nobody here wrote, through the same children as in a worker: each ends in its class."""

import asyncio
import json
import os
import re
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import pytest

from app.core.processes import ChildDied, ChildPool, Refused
from app.documents.extraction import pdf_children
from app.documents.pdf import Page
from tests.real.pdf_classes import FOLDER, manifest, may_end_as, needs_pdfs

pytestmark = needs_pdfs

MIB = 1024 * 1024
WORKER_GROWS_BYTES, CHILD_MEMORY_BYTES = 100 * MIB, 512 * MIB
SECONDS_PER_FILE, SECONDS_IN_ALL = 30.0, 60.0


@dataclass(frozen=True)
class Outcome:
    """How one file ended."""

    ending: str
    pages: list[Page]
    seconds: float


@pytest.fixture(scope="module")
async def outcomes() -> dict[str, Outcome]:
    async with pdf_children(1) as children:
        return {
            entry["file"]: await outcome(children, FOLDER / entry["file"]) for entry in manifest()
        }


async def test_every_file_ends_in_its_class(outcomes: dict[str, Outcome]) -> None:
    endings = {entry["file"]: outcomes[entry["file"]].ending for entry in manifest()}

    unexpected = {
        entry["file"]: endings[entry["file"]]
        for entry in manifest()
        if endings[entry["file"]] not in may_end_as(entry)
    }

    assert unexpected == {}
    assert endings["flate_bomb_text_40MB.pdf"] == "hostile"


async def test_vertical_japanese_is_read_by_a_second_look(outcomes: dict[str, Outcome]) -> None:
    ((_number, text, _ocr, _error),) = outcomes["kampo.pdf"].pages

    assert sum(map(str.isalnum, text)) > 2_000  # PDFium alone: 11
    assert "道路交通法施行令の一部を改正する政令" in text


async def test_nothing_hangs(outcomes: dict[str, Outcome]) -> None:
    assert max(found.seconds for found in outcomes.values()) <= SECONDS_PER_FILE
    assert sum(found.seconds for found in outcomes.values()) <= SECONDS_IN_ALL


async def test_the_words_that_others_find_are_found(outcomes: dict[str, Outcome]) -> None:
    expected: dict[str, list[list[str]]] = json.loads((FOLDER / "expected_words.json").read_text())
    wanted, missing = Counter[str](), Counter[str]()
    for file in expected.keys() & outcomes.keys():
        for words, (_, text, _, _) in zip(expected[file], outcomes[file].pages, strict=False):
            found = words_of(text)
            for word in set[str]().union(*map(words_of, words)):
                wanted[file] += 1
                missing[file] += not is_in(found, word)

    assert [file for file in wanted if missing[file] > max(4, 0.03 * wanted[file])] == []
    assert missing.total() <= 0.01 * wanted.total()


async def test_pages_are_numbered_and_fit_for_the_database(outcomes: dict[str, Outcome]) -> None:
    for file, found in outcomes.items():
        assert [page[0] for page in found.pages] == list(range(1, len(found.pages) + 1)), file
        for _, text, _, _ in found.pages:
            assert text == normalize("NFC", text).encode().decode(), file
            assert not re.search("[\x00\x02\r\xad\ufffe\ufb00-\ufb06]", text), file


@pytest.mark.parametrize("file", ["flate_bomb_text_40MB.pdf", "bomb_giant.pdf"])
async def test_a_bomb_stays_below_the_memory_bounds(file: str) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("reads /proc")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak that earlier tests left

    async with pdf_children(1) as children:
        await outcome(children, FOLDER / "simple1.pdf")
        [child] = children.pids
        before = peak_bytes(os.getpid())  # of whatever other tests have loaded into this process
        task = asyncio.create_task(outcome(children, FOLDER / file))
        child_peak = 0
        while not task.done():
            child_peak = max(child_peak, peak_bytes(child))
            await asyncio.sleep(0.005)

    assert peak_bytes(os.getpid()) - before <= WORKER_GROWS_BYTES
    assert child_peak <= CHILD_MEMORY_BYTES


async def outcome(children: ChildPool, path: Path) -> Outcome:
    """Read one file; the time includes the start of a child."""
    pages: list[Page] = []
    begun_at = time.monotonic()
    try:
        async for kind, payload in children.stream({"path": str(path)}):
            if kind == "pages":
                pages += payload
        ending = ending_of(pages)
    except (Refused, ChildDied) as error:
        ending = error.code
    return Outcome(ending, pages, time.monotonic() - begun_at)


def ending_of(pages: list[Page]) -> str:
    if any(text.strip() and not needs_ocr for _, text, needs_ocr, _ in pages):
        return "text"
    if any(needs_ocr for *_, needs_ocr, _ in pages):
        return "needs_ocr"
    return "page_errors" if any(error for *_, error in pages) else "no_text"


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", normalize("NFKC", text).lower()))


def is_in(found: set[str], word: str) -> bool:
    """True also for half of a divided word: others leave it divided, here it is joined."""
    return word in found or any(one.startswith(word) or one.endswith(word) for one in found)


def peak_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(peak[1]) * 1024 if peak else 0
