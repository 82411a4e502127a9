"""Questions and passages that nobody here wrote, stored as documents and searched through the front door."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.blobs import Blob
from app.core.search import Asked, parse
from app.documents import generations, store
from app.documents.jobs import IndexDocument
from app.resources import Resources
from app.search.legs import ask_all
from tests.documents.papers import ALICE, harness

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "qa"

needs_corpora = [
    pytest.mark.real,
    pytest.mark.skipif(not (FOLDER / "squad413").exists(), reason=f"no questions in {FOLDER}"),
]


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over all questions."""

    ndcg: float  # of the first ten
    first: float  # questions whose first hit is right


class Corpus:
    """One folder: passages with titles, questions, and which passage answers which question."""

    def __init__(self, name: str) -> None:
        folder = FOLDER / name
        self.passages = _lines(folder / "corpus.jsonl")
        self.questions = _lines(folder / "queries.jsonl")
        self.right: dict[str, set[str]] = {}
        for line in _lines(folder / "qrels.jsonl"):
            self.right.setdefault(line["qid"], set()).add(line["did"])
        self._passage_of: dict[tuple[UUID | None, int | None], str] = {}

    async def store(self, resources: Resources) -> None:
        """A document for each title, a page for each passage, as extraction would leave them."""
        jobs = harness(resources, resources.embedder)
        titles: dict[str, list[dict[str, Any]]] = {}
        for passage in self.passages:
            titles.setdefault(passage["title"], []).append(passage)
        for number, (title, passages) in enumerate(titles.items()):
            async with resources.db.transaction() as session:
                blob = Blob(f"{number:064x}", 1, b"")
                document = await store.add(session, ALICE, f"{number}.pdf", blob)
                assert document is not None
                generation = await generations.begin(session, document.id, len(passages), title)
                pages = [
                    (place, passage["text"], False, None)
                    for place, passage in enumerate(passages, 1)
                ]
                await generations.save(session, document.id, generation, pages)
                args = IndexDocument(document_id=document.id, generation=generation)
                await jobs.queue.enqueue(session, args, owner_id=ALICE)
            for place, passage in enumerate(passages, 1):
                self._passage_of[document.id, place] = passage["_id"]
        await jobs.run_all(timeout_seconds=600)

    async def ask(
        self, resources: Resources, questions: Sequence[dict[str, Any]], *, mode: str = "hybrid"
    ) -> Figures:
        """Search for each question, and compare with what is right."""
        ndcg = first = 0.0
        for question in questions:
            asked = Asked(parse(question["text"]), question["text"], ALICE, 10, mode=mode)
            async with resources.db.reading() as session:
                found, _mode = await ask_all(resources, session, asked)
            hits = [self._passage_of[hit.document_id, hit.page_number] for hit in found.hits]
            right = self.right[question["_id"]]
            ndcg += _gain(place for place, hit in enumerate(hits) if hit in right) / _gain(
                range(min(10, len(right)))
            )
            first += bool(hits) and hits[0] in right
        return Figures(ndcg / len(questions), first / len(questions))


def _gain(places: Iterable[int]) -> float:
    return sum(1 / math.log2(place + 2) for place in places)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
