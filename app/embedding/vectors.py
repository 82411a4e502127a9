"""Vectors as arrays."""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # one row per text, each of length 1


def unit_rows(rows: NDArray[np.float32]) -> Vectors:
    """`rows`, each divided by its length. Raises `ValueError` for one that has no direction."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or np.any(lengths == 0):
        raise ValueError("a vector is zero or not finite")
    return np.ascontiguousarray(rows / lengths, dtype=np.float32)
