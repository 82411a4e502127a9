"""What an embedder is, and what may go wrong with one."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, Protocol

from app.core.errors import AppError

if TYPE_CHECKING:  # every command imports this page, and few embed
    from app.embedding.vectors import Vectors

Language = Literal["en", "any"]


class EmbeddingRefused(AppError):
    """The model's server will not embed this, today or tomorrow: a key, a name, an address."""

    code = "embedding_refused"
    status = HTTPStatus.BAD_GATEWAY


class WrongDimension(AppError):
    """Vectors came back with another number of dimensions than the model has."""

    code = "wrong_dimension"
    status = HTTPStatus.BAD_GATEWAY


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two vectors comparable. Equal identities, and only they, share a space.

    `digest` names the weights: a sha256 where they are at hand, else the server that keeps them.
    `normalised` says that every vector has length 1.
    """

    name: str
    digest: str
    dimension: int
    normalised: bool = True

    @property
    def key(self) -> str:
        """One string for all of it but the name: a model that is only renamed stays the same."""
        return f"{self.digest}:{self.dimension}:{'unit' if self.normalised else 'raw'}"


class Embedder(Protocol):
    """Turns texts into vectors."""

    language: Language
    """What it understands: English only, or whatever it is given."""

    async def identity(self) -> Identity:
        """Which model this is. A remote one is asked once, for one vector.

        Raises:
            Unavailable: it did not answer; the same call may succeed later.
            EmbeddingRefused: it answered, and will not work with these settings.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> "Vectors":
        """Embed `texts` without blocking the loop; may be called from many tasks at once.

        The vector of a text does not depend on the others, and long texts are cut: a local model
        sees 256 word pieces. Cancelling the call stops the work within one text or request.

        Returns:
            Shape (len(texts), dimension), float32, each row of length 1, in the order of `texts`.

        Raises:
            Unavailable: no answer, or too many requests; the same call may succeed later.
            EmbeddingRefused: an answer that will be the same tomorrow.
            WrongDimension: vectors of another dimension than before; both are named.
        """
        ...

    async def aclose(self) -> None:
        """Let go of threads and connections. The object is unusable afterwards."""
        ...


async def all_or_none(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it side by side; the first error ends the others and comes out as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except* Exception as errors:  # noqa: BLE001 -- only unpacked
        raise errors.exceptions[0] from None
