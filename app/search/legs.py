"""What is asked when somebody searches: one leg per domain and way of searching."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from app.backups import search as artifacts
from app.core.search import Asked, Found
from app.resources import Resources

Find = Callable[[Resources, AsyncSession, Asked], Awaitable[Found]]


class Leg(NamedTuple):
    """One way to search one domain."""

    name: str
    mode: Literal["keyword", "semantic"]
    kinds: frozenset[str]  # of `Hit.kind` that it may find
    find: Find


LEGS: Sequence[Leg] = (Leg("backups", "keyword", artifacts.KINDS, artifacts.by_words),)


def chosen(mode: str, kinds: frozenset[str] | None) -> tuple[list[Leg], str]:
    """The legs of a search, and the mode that it really has.

    Hybrid without a semantic leg is keyword; a mode that has no leg at all finds nothing.
    """
    able = [leg for leg in LEGS if kinds is None or leg.kinds & kinds]
    legs = [leg for leg in able if mode in ("hybrid", leg.mode)]
    modes = {leg.mode for leg in legs}
    if mode == "hybrid" and modes != {"keyword", "semantic"}:
        mode = next(iter(modes), "keyword")
    return legs, mode
