"""The tables of models and spaces.

A model is a row; every vector of any domain names one. A space is the vectors of one domain, and
which model of them search asks.
"""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from app.core.columns import UtcDateTime
from app.core.db import Base


class EmbeddingModel(Base):
    """An identity that vectors have. The name may change, the key never does."""

    __tablename__ = "embedding_models"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), unique=True)  # `Identity.key`
    name: Mapped[str] = mapped_column(String(255))
    digest: Mapped[str] = mapped_column(String(200))  # of the weights, or who keeps them
    dimension: Mapped[int] = mapped_column(Integer)
    normalised: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class VectorSpace(Base):
    """The vectors of one domain: `chunks`, `notes`."""

    __tablename__ = "vector_spaces"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    live_model_id: Mapped[int | None] = mapped_column(ForeignKey("embedding_models.id"))
    # Raised with every change that a cached matrix has to see, deletions among them.
    version: Mapped[int] = mapped_column(BigInteger, server_default="0")
