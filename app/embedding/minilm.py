"""The packaged MiniLM, loaded: word pieces in, vectors out, and the proof that it is itself.

Everything here blocks; `app.embedding.local` calls it from its own threads.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Before it is loaded: its telemetry, which can upload, is on else and leaves a file behind.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # noqa: TID251 -- set, not read

import onnxruntime
from tokenizers import Tokenizer

from app.embedding.packaged import LONGEST_TOKENS
from app.embedding.vectors import Vectors, unit_rows

_LONGEST_CHARACTERS = 16_384  # far beyond 256 word pieces; what follows is not even looked at
_TOLERANCE = 0.03  # of a cosine; between the two graphs 0.008 was seen

# Pairs that mean the same, and pairs that do not, with the cosine that the packaged graph gives.
_KNOWN = (
    ("The cat sat on the mat.", "A cat is sitting on a rug.", 0.728),
    ("How do I reset my password?", "I forgot my login credentials.", 0.637),
    ("The invoice is due on Friday.", "Payment must be made by the end of the week.", 0.556),
    ("She plays the violin very well.", "She is a skilled violinist.", 0.88),
    ("The cat sat on the mat.", "Quarterly revenue rose by nine percent.", 0.005),
    ("How do I reset my password?", "Glaciers are melting faster than ever.", -0.052),
)

_Run = Callable[[NDArray[np.int64]], NDArray[np.float32]]  # word pieces of one text: one vector


class MiniLm:
    """One session that many threads may use at once, one text a call."""

    def __init__(self, model: Path, tokenizer: Path, *, rebuilt: bool) -> None:
        """Load it: 0.1 s; 45 MB rebuilt, 200 MB as packaged."""
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(LONGEST_TOKENS)
        session = _session(model)
        self._run: _Run = _rebuilt(session) if rebuilt else _packaged(session)

    def vector(self, text: str) -> Vectors:
        """The vector of one text, shape (1, 384): the same whatever else is embedded beside it."""
        seen = text[:_LONGEST_CHARACTERS].encode("utf-8", "replace").decode()
        pieces = np.array([self._tokenizer.encode(seen).ids], dtype=np.int64)
        return unit_rows(self._run(pieces))

    def is_itself(self) -> bool:
        """Whether it gives the cosines that this model is known to give.

        A graph that was rebuilt wrongly does not, nor a processor whose 8-bit products overflow.
        """
        for left, right, known in _KNOWN:
            cosine = float(self.vector(left)[0] @ self.vector(right)[0])
            if not abs(cosine - known) <= _TOLERANCE:
                return False
        return True


def _session(model: Path) -> Any:
    """One thread inside a call: the calls themselves run side by side."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _rebuilt(session: Any) -> _Run:
    def run(pieces: NDArray[np.int64]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(None, {"word_pieces": pieces})[0]
        return found

    return run


def _packaged(session: Any) -> _Run:
    def run(pieces: NDArray[np.int64]) -> NDArray[np.float32]:
        mask, kinds = np.ones_like(pieces), np.zeros_like(pieces)
        inputs = {"input_ids": pieces, "attention_mask": mask, "token_type_ids": kinds}
        hidden: NDArray[np.float32] = session.run(None, inputs)[0]
        return np.asarray(hidden.mean(axis=1), dtype=np.float32)

    return run
