"""The packaged model: what it gives, what it needs, and what happens when something is wrong."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from app.core.processes import ChildPool
from app.embedding import local, packaged
from app.embedding.local import LocalEmbedder
from app.embedding.minilm import MiniLm
from app.embedding.port import EmbeddingRefused

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "word " * 5_000,
    "\ud800 a lone surrogate and \0 a null",
    "A revenue of nine percent was reported for the last quarter.",
]


@pytest.fixture(scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a rebuilt model, so that not every test makes one."""
    made = tmp_path_factory.mktemp("models")
    async with aclosing(LocalEmbedder(made)) as embedder:
        await embedder.embed(["a"])
    return made


@pytest.fixture
async def embedder(folder: Path) -> AsyncIterator[LocalEmbedder]:
    async with aclosing(LocalEmbedder(folder)) as one:
        yield one


async def test_a_text_has_one_vector_whatever_is_beside_it(embedder: LocalEmbedder) -> None:
    together = await embedder.embed(TEXTS)
    turned = await embedder.embed(TEXTS[::-1])
    alone = [await embedder.embed([text]) for text in TEXTS]

    assert together.shape == (len(TEXTS), (await embedder.identity()).dimension)
    np.testing.assert_array_equal(together, turned[::-1])
    np.testing.assert_array_equal(together, np.concatenate(alone))
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


async def test_the_rebuilt_graph_agrees_with_the_packaged_one(embedder: LocalEmbedder) -> None:
    model, tokenizer = packaged.model_file(), packaged.tokenizer_file()
    as_packaged = MiniLm(model, tokenizer, rebuilt=False)

    ours = await embedder.embed(TEXTS)

    theirs = np.concatenate([as_packaged.vector(text) for text in TEXTS])
    assert as_packaged.is_itself()
    assert float(np.min(np.sum(ours * theirs, axis=1))) > 0.98


async def test_nothing_is_no_vectors(embedder: LocalEmbedder) -> None:
    assert (await embedder.embed([])).shape == (0, 384)


async def test_the_loop_goes_on_meanwhile(embedder: LocalEmbedder) -> None:
    await embedder.embed(["a"])
    late: list[float] = []

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            late.append(time.monotonic() - before - 0.005)

    watcher = asyncio.create_task(watch())
    await embedder.embed([TEXTS[3]] * 20)
    watcher.cancel()

    assert len(late) > 10
    assert max(late) < 0.25


async def test_cancelling_ends_within_a_text(embedder: LocalEmbedder) -> None:
    await embedder.embed(["a"])
    task = asyncio.create_task(embedder.embed([TEXTS[3]] * 1_000))
    await asyncio.sleep(0.1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    began = time.monotonic()
    await embedder.embed(["a"])
    assert time.monotonic() - began < 1


async def test_a_rebuilt_model_is_kept_and_an_altered_one_is_made_again(tmp_path: Path) -> None:
    async with aclosing(LocalEmbedder(tmp_path)) as first:
        expected = await first.embed(TEXTS[:1])
    (kept,) = tmp_path.iterdir()
    altered = bytearray(kept.read_bytes())
    altered[5_000_000] ^= 0xFF
    kept.write_bytes(altered)

    async with aclosing(LocalEmbedder(tmp_path)) as second:
        np.testing.assert_array_equal(await second.embed(TEXTS[:1]), expected)

    assert kept.read_bytes() != altered
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize("broken", ["child", "cosines"])
async def test_without_a_good_rebuilt_model_the_packaged_one_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    if broken == "child":
        monkeypatch.setattr(
            local, "ChildPool", lambda *_: ChildPool("os:nothing", local._REBUILD_LIMITS)
        )
    else:
        monkeypatch.setattr("app.embedding.minilm._TOLERANCE", 1e-9)
    as_packaged = MiniLm(packaged.model_file(), packaged.tokenizer_file(), rebuilt=False)

    async with aclosing(LocalEmbedder(tmp_path)) as embedder:
        found = await embedder.embed(TEXTS[:1])

    np.testing.assert_array_equal(found, as_packaged.vector(TEXTS[0]))


async def test_another_model_in_its_place_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged, "MODEL_SHA256", "0" * 64)

    async with aclosing(LocalEmbedder(tmp_path)) as embedder:
        with pytest.raises(EmbeddingRefused, match="not the file that is expected"):
            await embedder.embed(["a"])
