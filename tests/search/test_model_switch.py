"""What search finds while documents are embedded anew for another model, and after that."""

from dataclasses import replace
from pathlib import Path

from app.core.search import Asked, parse
from app.documents.jobs import RenewDocuments
from app.documents.sample import make_pdf
from app.embedding import Embedder
from app.resources import Resources
from app.search.legs import ask_all
from tests.documents.papers import ALICE, Letters, harness, keep

OLD, NEW = Letters("old"), Letters("new", dimension=30)


async def asked(resources: Resources, embedder: Embedder, said: str) -> tuple[set[str | None], str]:
    """The titles that a process with this model finds, and how it really searched."""
    question = Asked(parse(said), said, ALICE, 10, kinds=frozenset({"document"}))
    async with resources.db.reading() as session:
        found, mode = await ask_all(replace(resources, embedder=embedder), session, question)
    return {hit.title for hit in found.hits}, mode


async def test_words_are_found_all_the_while_and_no_vector_meets_one_of_another_length(
    resources: Resources, tmp_path: Path
) -> None:
    await keep(
        harness(resources, OLD), make_pdf(tmp_path / "a.pdf", ["Plums and pears."], title="a")
    )
    await harness(resources, OLD).run_all()
    await keep(harness(resources, NEW), make_pdf(tmp_path / "b.pdf", ["Plums alone."], title="b"))
    await harness(resources, NEW).run_all()

    for embedder, mode in ((OLD, "hybrid"), (NEW, "keyword")):  # a rolling deployment has both
        assert await asked(resources, embedder, "plums") == ({"a", "b"}, mode)

    await harness(resources, NEW).run(RenewDocuments())

    for embedder, mode in ((NEW, "hybrid"), (OLD, "keyword")):
        assert await asked(resources, embedder, "plums") == ({"a", "b"}, mode)
    assert (await asked(resources, NEW, "srae dna")) == ({"a", "b"}, "hybrid")  # by letters alone
