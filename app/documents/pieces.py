"""Searching by pieces: which of them to ask the index for, and how to rank what it gives.

A piece is three characters in a row. Most pieces of a question are in every text, and an index
that is asked for them reads all of it. So only the rarest are asked for, and the texts that have
some of those are ranked here, over all pieces. How rare a piece is, a sample tells.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.documents.chunks import number_of

CANDIDATES = 250  # chunks whose text is ranked
SAMPLED = 1_000  # chunks in a sample
SAMPLE_SECONDS = 300.0  # that a sample serves
_LEAST_RARE = 3  # pieces that are asked for, however common
_K1, _B = 1.2, 0.75  # of BM25, as FTS5 has them
_HASH_BITS = 16

Numbers = NDArray[np.int64]
Codes = NDArray[np.uint64]


class Sample(NamedTuple):
    """How common pieces are."""

    chunks: int  # in the sample
    having: Mapping[int, int]  # of them, by the piece's number
    in_all: float  # chunks of the table for each one of the sample
    until: float  # by the monotonic clock
    stems: Mapping[str, int]  # chunks having a stem, where the index of words has no idea of that

    @classmethod
    def of(
        cls,
        chunks: int,
        having: Mapping[int, int],
        whole: int,
        stems: Mapping[str, int] | None = None,
    ) -> "Sample":
        """A sample out of `whole` chunks."""
        # A table from which little could be taken may soon be quite another.
        until = time.monotonic() + SAMPLE_SECONDS * min(1.0, chunks / SAMPLED)
        return cls(max(1, chunks), having, max(1.0, whole / max(1, chunks)), until, stems or {})

    @property
    def stale(self) -> bool:
        """Whether another one should be taken."""
        return time.monotonic() > self.until

    def common(self, piece: str) -> float:
        """How many chunks of the sample have a piece; one that none has may still be somewhere."""
        return self.having.get(number_of(piece), 0) or 0.5 / self.in_all

    def common_stems(self, stems: Sequence[str], *, prefix: bool) -> float:
        """How many chunks of the sample have all of these stems, at most; the last maybe longer."""
        counts: list[float] = [self.stems.get(stem, 0) for stem in stems]
        if prefix and stems:
            begins = (count for stem, count in self.stems.items() if stem.startswith(stems[-1]))
            counts[-1] = sum(begins)
        return min(counts, default=0) or 0.5 / self.in_all

    def idf(self, piece: str) -> float:
        """BM25's weight of a piece."""
        return self.weight(self.common(piece))

    def weight(self, having: float) -> float:
        """BM25's weight of what so many chunks of the sample have."""
        has = min(having, self.chunks)
        return math.log(1 + (self.chunks - has + 0.5) / (has + 0.5))


def rare(pieces: Sequence[str], sample: Sample) -> list[str]:
    """The rarest pieces first, as many as promise no more than `CANDIDATES` chunks."""
    chosen: list[str] = []
    left = float(CANDIDATES)
    for piece in sorted(pieces, key=sample.common):
        expected = sample.common(piece) * sample.in_all
        if len(chosen) >= _LEAST_RARE and expected > left:
            break
        chosen.append(piece)
        left -= expected
    return chosen


def bm25(texts: Sequence[str], pieces: Sequence[str], sample: Sample) -> list[float]:
    """The score of each text. Source: Robertson and Zaragoza, 2009, section 3.4.3."""
    if not texts or not pieces:
        return [0.0] * len(texts)
    low = [own.lower() for own in texts]
    lengths = np.fromiter(map(len, low), np.int64, len(low))
    weights = np.array([sample.idf(piece) for piece in pieces])
    times = _times(low, lengths, pieces)
    room = _K1 * (1 - _B + _B * lengths / max(1.0, lengths.mean()))
    scores = times * (_K1 + 1) / (times + room[:, None]) @ weights
    return [float(score) for score in scores]


def _times(texts: Sequence[str], lengths: Numbers, pieces: Sequence[str]) -> Numbers:
    """How often each text has each piece: a row for each text.

    All texts at once, as numbers: asking each text for each piece took three times as long.
    """
    found = _codes("".join(f"{own}\0\0" for own in texts))  # so no piece lies across two texts
    wanted = _codes("".join(pieces))[::3]
    order = np.argsort(wanted)
    some = np.zeros(1 << _HASH_BITS, np.bool_)
    some[_hashed(wanted)] = True
    places = np.flatnonzero(some[_hashed(found)])  # a tenth of them, and few that are none
    which = np.searchsorted(wanted, found[places], sorter=order).clip(max=len(wanted) - 1)
    right = wanted[order[which]] == found[places]
    places, which = places[right], order[which[right]]
    text = np.searchsorted(np.cumsum(lengths + 2), places, side="right")
    cells = np.bincount(text * len(pieces) + which, minlength=len(texts) * len(pieces))
    return cells.reshape(len(texts), len(pieces))


def _codes(text: str) -> Codes:
    """Every three characters in a row as one number: 21 bits for each."""
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    return (letters[:-2] << np.uint64(42)) | (letters[1:-1] << np.uint64(21)) | letters[2:]


def _hashed(codes: Codes) -> Codes:
    """A few bits of each number, well mixed (Fibonacci hashing)."""
    return (codes * np.uint64(0x9E37_79B9_7F4A_7C15)) >> np.uint64(64 - _HASH_BITS)
