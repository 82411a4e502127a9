"""Vectors in memory: exact, whoever they belong to, whatever has come and gone."""

import numpy as np
import pytest

from app.core import matrix as module
from app.core.matrix import Matrix, Vector
from app.embedding.vectors import unit_rows

DIMENSION = 70  # no multiple of 64


def unit(rows: int, seed: int) -> Vector:
    return unit_rows(np.random.default_rng(seed).standard_normal((rows, DIMENSION)).astype("f4"))


def test_the_nearest_come_first_whatever_has_come_and_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DEAD_ROWS", 50)
    monkeypatch.setattr(module, "_FIRST_ROWS", 10)
    matrix = Matrix(DIMENSION)
    blocks = {key: unit(7 + key, key) for key in range(60)}
    for key, rows in blocks.items():
        matrix.put(key, 1, key % 3, rows, [(key, place) for place in range(len(rows))])
    wanted = dict.fromkeys(range(0, 60, 2), 1) | {4: 2}
    assert matrix.missing(wanted) == [4]
    blocks[4] = unit(3, 99)
    matrix.put(4, 2, 1, blocks[4], [(4, 0), (4, 1), (4, 2)])
    assert len(matrix) == sum(len(blocks[key]) for key in wanted)
    query = unit(1, 1_000)[0]

    for owner in (None, 0, 1, 2, 3):
        of = {key: 1 if key == 4 else key % 3 for key in wanted}
        every = [
            (float(row @ query), (key, place))
            for key in wanted
            if owner is None or of[key] == owner
            for place, row in enumerate(blocks[key])
        ]
        expected = [what for _, what in sorted(every, reverse=True)[:12]]
        assert [near.what for near in matrix.nearest(query, 12, owner=owner)] == expected

    assert {near.what[0] for near in matrix.nearest(query, 99, keys=[2, 4, 5])} == {2, 4}


def test_the_prefilter_finds_almost_all(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = Matrix(DIMENSION)
    centres = unit(40, 0)
    rows = unit_rows(np.repeat(centres, 200, axis=0) + np.float32(0.6) * unit(8_000, 1))
    matrix.put("a", 1, None, rows, range(8_000))
    exact = [{near.what for near in matrix.nearest(query, 10)} for query in centres]

    monkeypatch.setattr(module, "PREFILTER_FROM", 1_000)
    quick = [{near.what for near in matrix.nearest(query, 10)} for query in centres]

    found = sum(len(one & two) for one, two in zip(exact, quick, strict=True))
    assert found >= 0.98 * 10 * len(centres)


def test_an_empty_one_finds_nothing() -> None:
    assert Matrix(DIMENSION).nearest(unit(1, 0)[0], 5) == []
