"""The OpenAI-compatible embedder against a server on a real socket."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest
from starlette.responses import JSONResponse, Response

from app.core.errors import Unavailable
from app.embedding.openai import TEXTS_PER_REQUEST, TRIES, OpenAIEmbedder
from app.embedding.port import EmbeddingRefused, WrongDimension
from tests.embedding.server import EmbeddingServer

KEY = "sk-secret"


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with EmbeddingServer().serving() as serving:
        yield serving


@pytest.fixture
async def embedder(server: EmbeddingServer) -> AsyncIterator[OpenAIEmbedder]:
    async with aclosing(OpenAIEmbedder(server.url, "m", KEY, timeout=1.0, first_pause=0.01)) as one:
        yield one


async def test_vectors_are_in_the_order_of_the_texts_and_of_length_one(
    server: EmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    texts = ["x" * length for length in range(150)]

    vectors = await embedder.embed(texts)

    expected = np.array([server.vector(text or " ") for text in texts], np.float32) / 3
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert sorted(len(body["input"]) for body in server.requests) == [22, 64, TEXTS_PER_REQUEST]
    assert set(server.authorizations) == {f"Bearer {KEY}"}


async def test_long_texts_are_cut_and_fill_requests_by_their_length(
    server: EmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    await embedder.embed(["y" * 50_000] * 20)

    assert [len(body["input"]) for body in server.requests] == [12, 8]
    assert {len(text) for body in server.requests for text in body["input"]} == {8_192}


async def test_the_identity_names_model_server_and_dimension(
    server: EmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    server.dimension = 11

    identity = await embedder.identity()

    assert (identity.name, identity.dimension, identity.normalised) == ("m", 11, True)
    assert identity.digest == server.url.split("/")[2] + "/m"
    assert await embedder.identity() == identity
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_passing_error_is_tried_again(
    server: EmbeddingServer, embedder: OpenAIEmbedder, status: int
) -> None:
    server.faults = [Response(status_code=status), Response(status_code=status)]

    assert (await embedder.embed(["a"])).shape == (1, 8)
    assert len(server.requests) == 3


async def test_retry_after_is_waited_for(server: EmbeddingServer, embedder: OpenAIEmbedder) -> None:
    server.faults = [Response(status_code=429, headers={"Retry-After": "1"})]
    began = time.monotonic()

    await embedder.embed(["a"])

    assert time.monotonic() - began >= 1


async def test_a_long_retry_after_is_the_callers_to_wait_for(
    server: EmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    server.faults = [Response(status_code=429, headers={"Retry-After": "120"})]

    with pytest.raises(Unavailable) as caught:
        await embedder.embed(["a"])

    assert caught.value.retry_after == 120
    assert len(server.requests) == 1


async def test_a_server_that_stays_broken_is_given_up(
    server: EmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    server.faults = [Response(status_code=502)] * 20

    with pytest.raises(Unavailable, match="answered 502"):
        await embedder.embed(["a"])

    assert len(server.requests) == TRIES


async def test_a_server_that_does_not_answer_is_unavailable(server: EmbeddingServer) -> None:
    server.faults = [0.3] * TRIES
    slow = OpenAIEmbedder(server.url, "m", timeout=0.05, first_pause=0.01)

    async with aclosing(slow):
        with pytest.raises(Unavailable, match="gave no answer in time"):
            await slow.embed(["a"])

    assert server.authorizations[0] is None


async def test_nobody_there_is_unavailable() -> None:
    async with aclosing(OpenAIEmbedder("http://127.0.0.1:9/v1", "m", first_pause=0.01)) as nobody:
        with pytest.raises(Unavailable, match="could not be reached"):
            await nobody.embed(["a"])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
async def test_what_will_not_change_is_not_tried_again_and_tells_no_key(
    server: EmbeddingServer, embedder: OpenAIEmbedder, status: int
) -> None:
    server.faults = [JSONResponse({"error": {"message": f"bad {KEY}"}}, status)]

    with pytest.raises(EmbeddingRefused, match=str(status)) as caught:
        await embedder.embed(["a"])

    assert KEY not in str(caught.value)
    assert len(server.requests) == 1


async def test_a_wrong_dimension_names_both(
    server: EmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    await embedder.identity()
    server.dimension = 5

    with pytest.raises(WrongDimension, match=r"of 5 dimensions; it has 8"):
        await embedder.embed(["a"])


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": []},
        {"data": [{"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [0.0, 0.0]}]},
        {"data": [{"index": 0, "embedding": ["x"]}]},
        {"data": [{"index": 0, "embedding": [1e39, 1.0]}]},
    ],
)
async def test_an_answer_without_sense_is_refused(
    server: EmbeddingServer, embedder: OpenAIEmbedder, answer: dict[str, object]
) -> None:
    server.faults = [answer]

    with pytest.raises(EmbeddingRefused, match="without sense"):
        await embedder.embed(["a"])


async def test_cancelling_ends_the_waiting(
    server: EmbeddingServer, embedder: OpenAIEmbedder
) -> None:
    server.faults = [0.5] * 10
    task = asyncio.create_task(embedder.embed(["z" * 8_000] * 100))
    await asyncio.sleep(0.1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(server.requests) <= 4
