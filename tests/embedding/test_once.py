"""A question is embedded once, for everybody who asks."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from app.core.errors import Unavailable
from app.embedding import once
from app.embedding.once import embedded_once
from app.embedding.vectors import Vectors
from tests.documents.papers import Letters


class Failing(Letters):
    async def embed(self, texts: Sequence[str]) -> Vectors:
        await super().embed(texts)
        raise Unavailable("The model is away.")


class Stuck(Letters):
    stopped = False

    async def embed(self, texts: Sequence[str]) -> Vectors:
        try:
            await asyncio.sleep(60)
        finally:
            self.stopped = True
        return await super().embed(texts)


async def test_all_who_ask_get_the_same_vector_and_the_model_is_asked_once() -> None:
    letters = Letters()

    async with embedded_once(letters, "what") as lent:
        first, second = await asyncio.gather(lent.embed(["what"]), lent.embed(["what"]))
        assert (await lent.identity()) == (await letters.identity())

    np.testing.assert_array_equal(first, second)
    assert letters.texts == ["what"]


async def test_another_text_goes_to_the_model_itself() -> None:
    letters = Letters()

    async with embedded_once(letters, "what") as lent:
        other = await lent.embed(["who"])

    np.testing.assert_array_equal(other, await Letters().embed(["who"]))


async def test_an_error_is_told_to_everybody_who_asks_and_to_nobody_else() -> None:
    failing = Failing()

    async with embedded_once(failing, "what") as lent:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await lent.embed(["what"])
    async with embedded_once(failing, "what"):
        await asyncio.sleep(0)

    assert failing.texts == ["what", "what"]


async def test_what_nobody_asked_for_is_dropped() -> None:
    stuck = Stuck()

    async with embedded_once(stuck, "what"):
        await asyncio.sleep(0)

    assert stuck.stopped


async def test_a_model_that_takes_too_long_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(once, "_PATIENCE_SECONDS", 0.05)
    stuck = Stuck()

    async with embedded_once(stuck, "what") as lent:
        for ask in (lent.identity(), lent.embed(["what"])):
            with pytest.raises(Unavailable):
                await ask

    assert stuck.stopped
