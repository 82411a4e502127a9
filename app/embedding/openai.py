"""Any server that speaks OpenAI's protocol for embeddings: `POST <base>/embeddings`.

Source: the protocol as OpenAI documents it. Ollama, vLLM, LocalAI and others answer the same.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx
import msgspec
import numpy as np
from numpy.typing import NDArray

from app.core.clock import utcnow
from app.core.errors import Unavailable
from app.embedding.port import (
    EmbeddingRefused,
    Identity,
    Language,
    WrongDimension,
    all_or_none,
)
from app.embedding.vectors import Vectors, unit_rows

REQUESTS_AT_ONCE = 4
TEXTS_PER_REQUEST = 64
CHARACTERS_PER_REQUEST = 100_000
CHARACTERS_PER_TEXT = 8_192  # every known model sees less than 8,192 tokens
TRIES = 5
LONGEST_PAUSE = 20.0  # seconds; a server that asks for more is told to the caller instead
_CONNECT_SECONDS = 5.0
_PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_LONGEST_ANSWER = 64 * 1024 * 1024


class _Row(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Row]


class _Again(Exception):
    """This request may succeed later; after so many seconds, if the server said so."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


class OpenAIEmbedder:
    """A model behind an address. What it understands is not known, so it is asked everything."""

    language: Language = "any"

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        timeout: float = 60.0,
        first_pause: float = 0.5,
    ) -> None:
        """Describe the server; nothing is connected.

        Args:
            base_url: up to and with `/v1`.
            model: the name that the server knows.
            api_key: sent as bearer; none is sent when None.
            timeout: seconds for one answer.
            first_pause: seconds before the second try; each later pause is twice as long.
        """
        self._url = base_url.rstrip("/") + "/embeddings"
        self._host = urlsplit(base_url).netloc.rpartition("@")[2]
        self._model, self._first_pause = model, first_pause
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        limits = httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS))
        # No redirects: the key would go along.
        self._client = httpx.AsyncClient(headers=headers, timeout=limits)
        self._slots = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._dimension: int | None = None

    async def identity(self) -> Identity:
        """See `Embedder.identity`. The weights are the server's word: its host stands for them."""
        if self._dimension is None:
            await self._request(["How many dimensions has a vector?"])
        assert self._dimension is not None
        return Identity(self._model, f"{self._host}/{self._model}", self._dimension)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`. A text is cut at `CHARACTERS_PER_TEXT`."""
        if not texts:
            return np.empty((0, (await self.identity()).dimension), dtype=np.float32)
        seen = [_seen(text) for text in texts]
        batches = list(_batches(seen))
        found: list[Vectors | None] = [None] * len(batches)

        async def work(place: int, batch: list[str]) -> None:
            found[place] = await self._request(batch)

        await all_or_none(work(place, batch) for place, batch in enumerate(batches))
        return np.concatenate([each for each in found if each is not None])

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _request(self, texts: list[str]) -> Vectors:
        """One batch, tried until it is answered or there is no hope."""
        pause = self._first_pause
        for left in range(TRIES - 1, -1, -1):
            try:
                async with self._slots:
                    return self._checked(await self._once(texts), len(texts))
            except _Again as again:
                wait = max(again.after or 0.0, pause * (0.5 + random.random()))  # noqa: S311
                if not left or wait > LONGEST_PAUSE:
                    said = f"The embedding server at {self._host} {again}."
                    raise Unavailable(said, retry_after=again.after) from again
            await asyncio.sleep(wait)
            pause *= 2
        raise AssertionError("the last try returns or raises")

    async def _once(self, texts: list[str]) -> bytes:
        body = {"model": self._model, "input": texts, "encoding_format": "float"}
        try:
            async with self._client.stream("POST", self._url, json=body) as response:
                content = b""
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > _LONGEST_ANSWER:
                        raise EmbeddingRefused(f"The embedding server at {self._host} never ends.")
        except httpx.TimeoutException as error:
            raise _Again("gave no answer in time") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _Again("could not be reached") from error
        if response.status_code in _PASSING:
            after = _seconds(response.headers.get("retry-after"))
            raise _Again(f"answered {response.status_code}", after)
        if response.status_code != httpx.codes.OK:
            # Its body is not passed on: servers have been seen to quote the key.
            raise EmbeddingRefused(
                f"The embedding server at {self._host} answered {response.status_code}"
                f" for the model {self._model}."
            )
        return content

    def _checked(self, content: bytes, count: int) -> Vectors:
        try:
            rows = msgspec.json.decode(content, type=_Answer).data
            if sorted(row.index for row in rows) != list(range(count)):
                raise ValueError("not one vector for each text")
            rows.sort(key=lambda row: row.index)
            self._agree({len(row.embedding) for row in rows})
            with np.errstate(over="ignore"):  # becomes infinite, which is refused
                table: NDArray[np.float32] = np.array([row.embedding for row in rows], np.float32)
                return unit_rows(table)
        except (msgspec.DecodeError, ValueError) as error:
            raise EmbeddingRefused(
                f"The embedding server at {self._host} gave an answer without sense: {error}."
            ) from error

    def _agree(self, dimensions: set[int]) -> None:
        """Hold the server to the dimension of its first answer."""
        expected = self._dimension or min(dimensions)
        odd = dimensions - {expected}
        if odd or not expected:
            raise WrongDimension(
                f"The model {self._model} gave a vector of {max(odd or dimensions)} dimensions;"
                f" it has {expected}."
            )
        self._dimension = expected


def _seen(text: str) -> str:
    """What is sent of a text: some servers refuse an empty one, all a lone surrogate."""
    return text[:CHARACTERS_PER_TEXT].encode("utf-8", "replace").decode() or " "


def _batches(texts: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        full = len(batch) == TEXTS_PER_REQUEST or characters + len(text) > CHARACTERS_PER_REQUEST
        if batch and full:
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def _seconds(header: str | None) -> float | None:
    """A Retry-After, which is a number or a date, in seconds; nonsense is as good as none."""
    with suppress(ValueError):
        if header and not header.isdecimal():
            return max(0.0, (parsedate_to_datetime(header) - utcnow()).total_seconds())
        return float(header or "")
    return None
