"""Vectors of one model in memory, searched exactly: for a database that cannot do it itself.

They lie in blocks, which come and go as a whole: a document, a note. Unit vectors only.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

PREFILTER_FROM = (
    50_000  # rows from which on the signs of all are looked at before the numbers of some
)
RESCORED = 400  # of those rows; with 200 real vectors had 0.997 of the right ten
_FIRST_ROWS = 1_024
_DEAD_SHARE, _DEAD_ROWS = 0.25, 2_000  # more than both, and the array is packed anew

_MOSTLY = 0.25

Vector = NDArray[np.float32]


class Near(NamedTuple):
    """A row that is close: what it stands for, and the cosine."""

    what: Any
    cosine: float


class _Arrays(NamedTuple):
    """What is known of each row, at the same place in each array."""

    rows: Vector
    signs: NDArray[np.uint64]
    owners: NDArray[np.int32]
    what: NDArray[np.object_]
    alive: NDArray[np.bool_]

    @classmethod
    def empty(cls, size: int, dimension: int) -> "_Arrays":
        return cls(
            np.zeros((size, dimension), np.float32),
            np.zeros((size, -(-dimension // 64)), np.uint64),
            np.full(size, -1, np.int32),
            np.empty(size, object),
            np.zeros(size, np.bool_),
        )

    def grown(self, size: int) -> "_Arrays":
        """The same with room for `size` rows."""
        larger = _Arrays.empty(size, self.rows.shape[1])
        count = len(self.rows)
        larger.rows[:count], larger.signs[:count] = self.rows, self.signs
        larger.owners[:count], larger.what[:count] = self.owners, self.what
        larger.alive[:count] = self.alive
        return larger

    def taken(self, places: NDArray[np.intp]) -> "_Arrays":
        """The rows at `places` alone, in that order."""
        rows, signs, owners, what, alive = self
        return _Arrays(rows[places], signs[places], owners[places], what[places], alive[places])


class _Block(NamedTuple):
    version: Hashable
    begin: int
    end: int


class Matrix:
    """One array of rows, what each stands for, and whose it is.

    May be used from several threads: `nearest` sees the rows before a change or after it.
    """

    def __init__(self, dimension: int) -> None:
        """An empty one."""
        self.dimension = dimension
        self._blocks: dict[Hashable, _Block] = {}
        self._owners: dict[Hashable, int] = {}
        self._count = self._dead = 0
        self._lock = Lock()
        self._arrays = _Arrays.empty(_FIRST_ROWS, dimension)

    def __len__(self) -> int:
        return self._count - self._dead

    def missing(self, wanted: Mapping[Any, Hashable]) -> list[Any]:
        """Forget every block that is not wanted in this version; the keys of those to be put."""
        with self._lock:
            for key, block in list(self._blocks.items()):
                if wanted.get(key) != block.version:
                    self._forget(key)
        return [key for key in wanted if key not in self._blocks]

    def put(
        self,
        key: Hashable,
        version: Hashable,
        owner: Hashable,
        rows: Vector,
        what: Sequence[Any],
    ) -> None:
        """Add a block: a row for each of `what`."""
        with self._lock:
            if key in self._blocks:
                self._forget(key)
            if self._dead > max(_DEAD_ROWS, _DEAD_SHARE * self._count):
                self._pack()
            begin, end = self._count, self._count + len(rows)
            if end > len(self._arrays.rows):
                self._arrays = self._arrays.grown(max(end, 2 * len(self._arrays.rows)))
            place = slice(begin, end)
            self._arrays.rows[place] = rows
            self._arrays.signs[place] = _signs(rows)
            self._arrays.owners[place] = self._owners.setdefault(owner, len(self._owners))
            self._arrays.what[place] = _objects(what)
            self._arrays.alive[place] = True
            self._blocks[key] = _Block(version, begin, end)
            self._count = end

    def nearest(
        self,
        query: Vector,
        count: int,
        *,
        owner: Hashable = None,
        keys: Iterable[Hashable] | None = None,
    ) -> list[Near]:
        """The `count` rows closest to `query`, best first.

        Args:
            query: of length 1.
            count: how many are wanted.
            owner: whose rows; None: everybody's.
            keys: of the blocks that are looked at; None: all.
        """
        with self._lock:
            rows, signs, _owners, what, _alive = self._arrays
            allowed = self._allowed(owner, keys)
        places = np.flatnonzero(allowed)
        if len(places) > PREFILTER_FROM:
            far = np.bitwise_count(signs[: len(allowed)] ^ _signs(query[None, :]))
            distance = far.sum(axis=1, dtype=np.uint16)[places]
            kept = max(RESCORED, 4 * count)
            places = places[np.argpartition(distance, kept)[:kept]]
        if len(places) > _MOSTLY * len(allowed):  # copying so many rows costs more than multiplying
            cosines = (rows[: len(allowed)] @ query)[places]
        else:
            cosines = rows[places] @ query
        best = _largest(cosines, count)
        return [Near(what[places[place]], float(cosines[place])) for place in best]

    def _allowed(self, owner: Hashable, keys: Iterable[Hashable] | None) -> NDArray[np.bool_]:
        allowed = self._arrays.alive[: self._count].copy()
        if owner is not None:
            allowed &= self._arrays.owners[: len(allowed)] == self._owners.get(owner, -1)
        if keys is not None:
            chosen = np.zeros_like(allowed)
            for key in keys:
                if (block := self._blocks.get(key)) is not None:
                    chosen[block.begin : block.end] = True
            allowed &= chosen
        return allowed

    def _forget(self, key: Hashable) -> None:
        _version, begin, end = self._blocks.pop(key)
        self._arrays.alive[begin:end] = False
        self._arrays.rows[begin:end] = 0  # a deleted text leaves nothing in memory
        self._dead += end - begin

    def _pack(self) -> None:
        """Close the gaps that forgotten blocks have left."""
        order = sorted(self._blocks.items(), key=lambda item: item[1].begin)
        spans = [range(block.begin, block.end) for _, block in order]
        places = np.fromiter((place for span in spans for place in span), np.intp)
        self._arrays = self._arrays.taken(places)
        begin = 0
        for (key, block), span in zip(order, spans, strict=True):
            self._blocks[key] = _Block(block.version, begin, begin + len(span))
            begin += len(span)
        self._count, self._dead = begin, 0


def _largest(numbers: Vector, count: int) -> NDArray[np.intp]:
    """The places of the `count` largest, the largest first."""
    if len(numbers) <= 4 * count:
        return np.argsort(-numbers, kind="stable")[:count]
    some = np.argpartition(-numbers, count)[:count]
    return some[np.argsort(-numbers[some], kind="stable")]


def _signs(rows: Vector) -> NDArray[np.uint64]:
    """One bit for each number, packed: whether it is above zero."""
    bits = np.packbits(rows > 0, axis=1)
    room = -bits.shape[1] % 8
    return np.ascontiguousarray(np.pad(bits, ((0, 0), (0, room)))).view(np.uint64)


def _objects(what: Sequence[Any]) -> NDArray[np.object_]:
    """One object each; numpy would make rows of tuples."""
    made = np.empty(len(what), object)
    for place, each in enumerate(what):
        made[place] = each
    return made
