"""Embeddings: texts as vectors, so that what means the same lies close together.

A port with two honest implementations: the packaged MiniLM, which needs no network, and any
server that speaks OpenAI's protocol.
"""

from pathlib import Path

from app.embedding.port import (
    Embedder,
    EmbeddingRefused,
    Identity,
    Language,
    WrongDimension,
)

__all__ = [
    "Embedder",
    "EmbeddingRefused",
    "Identity",
    "Language",
    "WrongDimension",
    "open_embedder",
]

OPENAI_MODEL = "text-embedding-3-small"  # where EMBEDDING_MODEL says nothing


def open_embedder(
    provider: str,
    *,
    folder: Path,
    base_url: str | None = None,
    api_key: str | None = None,
    model: str | None = None,
) -> Embedder:
    """Return the embedder that the settings name; nothing is loaded or connected before its use.

    Args:
        provider: `local` or `openai`.
        folder: where a local model may keep what it made of its packaged file.
        base_url: for openai: the address up to and with `/v1`.
        api_key: for openai: what is sent as bearer, if anything.
        model: for openai: its name; `OPENAI_MODEL` when None.
    """
    if provider == "local":
        from app.embedding.local import LocalEmbedder  # noqa: PLC0415 -- only what is used

        return LocalEmbedder(folder)
    if base_url is None:
        raise ValueError("an OpenAI-compatible server needs its address")
    from app.embedding.openai import OpenAIEmbedder  # noqa: PLC0415

    return OpenAIEmbedder(base_url, model or OPENAI_MODEL, api_key)
