"""Documents end to end: reading, cutting, embedding and searching, in figures.

    python -m benchmarks.documents ingest [--pages N --words N | --file PDF]   a PDF through both jobs
    python -m benchmarks.documents model                     the model alone: the limit of ingest
    python -m benchmarks.documents search [--chunks N ...]   how long a question takes

On SQLite and on a PostgreSQL of its own. Texts are made of English words at random; the vectors of
`search` are made up too, in clusters, because only their number matters here. Those of the
questions are real.
"""

import argparse
import asyncio
import random
import re
import resource
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sqlalchemy import text
from tokenizers import Tokenizer

import app.catalogue  # noqa: F401 -- every model is in the metadata
from app.blobs import Blob
from app.chaos.servers import postgres_server
from app.core.columns import new_id
from app.core.db import Base
from app.core.search import Asked, parse
from app.documents import chunking, chunks, generations, store
from app.documents.chunking import chunks_of
from app.documents.jobs import extract_document, index_document
from app.documents.sample import make_pdf
from app.embedding import Identity, Language, packaged, spaces
from app.embedding.local import LocalEmbedder
from app.embedding.vectors import Vectors, unit_rows
from app.jobs.engines.inline import run_all
from app.resources import Resources, open_resources
from app.search.legs import ask_all
from app.settings import Settings
from tests.documents.papers import keep
from tests.harness import JobHarness

OWNER = new_id()
DOCS = Path(__file__).parents[1] / "docs"


class NoModel:
    """Vectors for nothing: what is left is everything else."""

    language: Language = "any"

    async def identity(self) -> Identity:
        return Identity("none", "none", 384)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        rows = np.ones((len(texts), 384), np.float32)
        return unit_rows(rows) if len(texts) else rows

    async def aclose(self) -> None:
        return None


def vocabulary(dice: random.Random) -> list[str]:
    """English words, the commonest first, as our own pages have them; then pairs of them."""
    pages = " ".join(path.read_text() for path in sorted(DOCS.rglob("*.md")))
    counted = Counter(re.findall("[a-z]+", pages.lower()))
    words = [word for word, _ in counted.most_common()]
    return words + ["".join(dice.sample(words[200:], 2)) for _ in range(3 * len(words))]


def prose(dice: random.Random, words: list[str], count: int) -> str:
    """Words as common as in a language (Zipf), in sentences."""
    places = (min(len(words) - 1, int(dice.paretovariate(0.7)) - 1) for _ in range(count))
    said = [words[place] for place in places]
    for place in range(0, count, 14):
        said[place] = said[place].capitalize()
        if place:
            said[place - 1] += "."
    return " ".join(said) + "."


@asynccontextmanager
async def database(kind: str, folder: Path) -> AsyncIterator[Resources]:
    """An empty database of this kind, with its tables."""
    settings: dict[str, Any] = {"data_dir": folder / "data", "log_level": "error"}
    (folder / "data").mkdir(exist_ok=True)
    if kind == "sqlite":
        async with _opened(Settings(_env_file=None, **settings)) as resources:
            yield resources
        return
    with postgres_server() as server:
        server.psql("CREATE DATABASE bench")
        url = server.url("bench")
        async with _opened(Settings(_env_file=None, database_url=url, **settings)) as resources:
            yield resources


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Resources]:
    async with open_resources(settings) as resources:
        async with resources.db.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield resources


async def ingest(
    kind: str, folder: Path, *, pages: int, on_a_page: int, file: Path | None = None
) -> None:
    """One PDF through both jobs, without a model and with the real one; the same text again."""
    dice = random.Random(1)
    words = vocabulary(dice)
    path = file or make_pdf(folder / "a.pdf", [prose(dice, words, on_a_page) for _ in range(pages)])
    async with database(kind, folder) as resources:
        await resources.embedder.embed(["loaded"])
        for name, embedder in (("no model", NoModel()), ("MiniLM", resources.embedder)):
            jobs = JobHarness(
                replace(resources, embedder=embedder), [extract_document, index_document]
            )
            owner = new_id()
            began = time.monotonic()
            document_id = await keep(jobs, path, owner)
            await run_all(jobs.worker())
            took = time.monotonic() - began
            async with resources.db.reading() as session:
                document = await store.one(session, document_id, None)
                of = (session, document_id)
                texts = [each.text for each in await chunks.live(*of, limit=10**6, offset=0)]
            assert document.status == "ready", document.error_message
            print(
                f"{kind:11} {name:9} {(document.page_count or 0) / took:7.0f} pages/s"
                f" {len(texts) / took:7.1f} chunks/s   {took:.1f} s, {_peak()} MB;"
                f" {len(texts)} chunks of {_size(texts)}"
            )


async def model(folder: Path) -> None:
    """Chunk by chunk through the model alone."""
    dice = random.Random(2)
    words = vocabulary(dice)
    texts = [piece.text for _ in range(40) for piece in chunks_of(prose(dice, words, 700))]
    async with aclosing(LocalEmbedder(folder)) as embedder:
        await embedder.embed(["loaded"])
        began = time.monotonic()
        await embedder.embed(texts)
        rate = len(texts) / (time.monotonic() - began)
        print(f"model alone: {rate:.1f} chunks/s of {_size(texts)}, {_peak()} MB")


async def search(kind: str, folder: Path, counts: list[int]) -> None:
    """Questions over more and more chunks; the question is embedded by the real model."""
    dice = random.Random(3)
    words = vocabulary(dice)
    async with database(kind, folder) as resources:
        stored = 0
        for count in counts:
            began = time.monotonic()
            while stored < count:
                stored += await _fill(resources, dice, words, stored)
            await _index(resources)
            print(f"{kind:11} {stored:7,} chunks after {time.monotonic() - began:.0f} s")
            await _ask(resources, kind, stored, dice, words)


async def _fill(resources: Resources, dice: random.Random, words: list[str], number: int) -> int:
    """One more document of some 1,000 chunks, as `ingest_index` would have left it."""
    identity = await resources.embedder.identity()
    async with resources.db.transaction() as session:
        document = await store.add(session, OWNER, f"{number}.pdf", Blob(f"{number:064x}", 1, b""))
        assert document is not None
        generation = await generations.begin(session, document.id, 1, f"Report {number}")
        model_id = await spaces.model_id(session, identity)
        await spaces.drop_index(session, "chunk_embeddings", model_id)  # filling it takes longer
        await spaces.first_goes_live(session, chunks.SPACE, model_id)
        pieces = [
            piece
            for page in range(1, 501)
            for piece in chunks.pieces_of(document.id, "", page, prose(dice, words, 230))
        ]
        await chunks.save(session, document.id, generation, f"Report {number}", 0, pieces)
        seeded = np.random.default_rng(number)
        centres = seeded.standard_normal((20, 384)).astype(np.float32)
        noise = seeded.standard_normal((len(pieces), 384)).astype(np.float32)
        vectors = unit_rows(centres[seeded.integers(0, 20, len(pieces))] + 0.7 * noise)
        ids = [piece.id for piece in pieces]
        await chunks.save_vectors(session, document.id, model_id, ids, vectors)
        values = {"indexed_generation": generation, "live_generation": generation}
        values |= {"chunk_count": len(pieces), "chunker": chunking.VERSION}
        await store.change(session, document.id, **values)
        await spaces.changed(session, chunks.SPACE)
    return len(pieces)


async def _index(resources: Resources) -> None:
    """The index over the vectors, and what PostgreSQL's planner knows."""
    identity = await resources.embedder.identity()
    async with resources.db.transaction() as session:
        model_id = await spaces.model_id(session, identity)
        await spaces.make_index(session, "chunk_embeddings", model_id, identity.dimension)
        if not resources.db.is_sqlite:
            await session.execute(text("ANALYZE"))


async def _ask(
    resources: Resources, kind: str, stored: int, dice: random.Random, words: list[str]
) -> None:
    seconds: list[float] = []
    for number in range(210):
        question = (
            f"what is {' '.join(dice.sample(words[:5_000], 2))} of {dice.choice(words[50:400])}?"
        )
        asked = Asked(parse(question), question, OWNER, 10)
        began = time.monotonic()
        async with resources.db.reading() as session:
            await ask_all(resources, session, asked)
        if number >= 10:
            seconds.append(time.monotonic() - began)
    ranked = sorted(1_000 * each for each in seconds)
    print(
        f"{kind:11} {stored:7,} chunks: p50 {statistics.median(ranked):5.1f} ms,"
        f" p95 {ranked[int(0.95 * len(ranked))]:5.1f} ms, {_peak()} MB"
    )


def _size(texts: Sequence[str]) -> str:
    """How long texts are on average, for people and for the model."""
    tokenizer = Tokenizer.from_file(str(packaged.tokenizer_file()))
    tokenizer.no_padding()
    tokenizer.enable_truncation(packaged.LONGEST_TOKENS)
    pieces = statistics.mean(len(each.ids) for each in tokenizer.encode_batch(list(texts)))
    return f"{statistics.mean(map(len, texts)):.0f} characters, {pieces:.0f} word pieces"


def _peak() -> int:
    """The largest this process has been, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("what", choices=["ingest", "model", "search"])
    asked.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    asked.add_argument("--pages", type=int, default=500)
    asked.add_argument("--words", type=int, default=230, help="on a page of a made-up PDF")
    asked.add_argument("--file", type=Path, help="a PDF, in place of a made-up one")
    asked.add_argument("--chunks", type=int, nargs="+", default=[10_000, 100_000])
    given = asked.parse_args()
    works: list[Callable[[Path], Coroutine[Any, Any, None]]] = []
    for kind in given.database or ["sqlite", "postgresql"]:
        if given.what == "ingest":
            how = {"pages": given.pages, "on_a_page": given.words, "file": given.file}
            works.append(partial(ingest, kind, **how))
        elif given.what == "search":
            works.append(partial(search, kind, counts=given.chunks))
    for work in works or [model]:
        with TemporaryDirectory(prefix="headway-bench-") as folder:
            asyncio.run(work(Path(folder)))


if __name__ == "__main__":
    main()
