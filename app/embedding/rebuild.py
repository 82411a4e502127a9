"""The packaged model again, as a graph that computes with integers. Runs in a limited child.

The packaged file keeps its weights as int8 with a scale per column, and its graph turns them into
fp32 before it multiplies: eight bits on disk, none of them in the arithmetic. Here the same eight
bits go into `DynamicQuantizeMatMul`, untouched, around a BERT encoder written anew: one text at a
time, so without mask and padding; query, key and value in one product; the mean over the word
pieces and the division by the length inside. Embedding rows are unpacked one by one as they are
used. What differs from the packaged graph is the rounding of activations to 8 bits.

Source: the operators of ONNX 17 and of onnxruntime's domain com.microsoft, by their documentation.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from app.embedding.packaged import sha256_of

LAYERS, HEADS, WIDTH = 6, 12, 384
INPUT, OUTPUT = "word_pieces", "vector"
_EPSILON = 1e-12  # of every layer normalisation
_OPSETS = (("", 17), ("com.microsoft", 1))
_FUSED = "com.microsoft"

Weights = NDArray[Any]


def rebuild(request: dict[str, Any]) -> Iterator[str]:
    """Write the rebuilt model and yield its path.

    Args:
        request: `model`, the packaged file; `folder`, where to write; `name`, how the file's name
            begins; its sha256 follows, so a half-written or altered file is never taken for one.
    """
    content = _Packaged(Path(request["model"])).graph().SerializeToString()
    folder = Path(request["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / f".{request['name']}-{os.getpid()}"
    written.write_bytes(content)
    final = folder / f"{request['name']}-{sha256_of(written)}.onnx"
    written.replace(final)
    yield str(final)


class _Packaged:
    """The packaged graph's weights, and the new graph as far as it is built."""

    def __init__(self, path: Path) -> None:
        packaged = onnx.load(path).graph
        self._stored = {each.name: each for each in packaged.initializer}
        # The six products of each layer, in the order of their use: q, k, v, out, up, down.
        self._products = [
            node.input[1]
            for node in packaged.node
            if node.op_type == "MatMul" and f"{node.input[1]}_q" in self._stored
        ]
        if len(self._products) != 6 * LAYERS:
            raise ValueError("the packaged graph has another shape")
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def graph(self) -> Any:
        """The whole model: word pieces in, one vector of length 1 out."""
        hidden = self._embeddings()
        for layer in range(LAYERS):
            hidden = self._layer(layer, hidden)
        self._node("ReduceMean", [hidden], "mean", axes=[1], keepdims=0)
        self._node("LpNormalization", ["mean"], OUTPUT, axis=-1, p=2)
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            "minilm",
            [info(INPUT, TensorProto.INT64, [1, "length"])],
            [info(OUTPUT, TensorProto.FLOAT, [1, WIDTH])],
            self._constants,
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def _embeddings(self) -> str:
        """Word, position and the one token type of single texts, added and normalised."""
        words = self._rows("word", INPUT)
        self._node("Shape", [INPUT], "shape", start=1, end=2)
        self._node("Squeeze", ["shape"], "length")
        zero, one = self._constant("zero", np.int64(0)), self._constant("one", np.int64(1))
        self._node("Range", [zero, "length", one], "positions")
        places = self._rows("position", "positions")
        kind = self._constant(
            "kind", self._array("inner.embeddings.token_type_embeddings.weight")[0]
        )
        self._node("Add", [places, kind], "placed")
        self._node("Add", [words, "placed"], "embedded")
        return self._normal("embedded", "inner.embeddings")

    def _rows(self, table: str, indices: str) -> str:
        """Rows of an 8-bit table, as fp32."""
        stored = f"inner.embeddings.{table}_embeddings.weight"
        for part in ("q", "scale"):
            self._constant(f"{table}_{part}", self._array(f"{stored}_{part}"))
            self._node("Gather", [f"{table}_{part}", indices], f"{table}_{part}_rows")
        self._node("Cast", [f"{table}_q_rows"], f"{table}_cast", to=TensorProto.FLOAT)
        return self._node("Mul", [f"{table}_cast", f"{table}_scale_rows"], f"{table}_rows")

    def _layer(self, layer: int, hidden: str) -> str:
        """One layer of BERT: attention and two products, each added to its input and normalised."""
        query, key, value, out, up, down = self._products[6 * layer : 6 * layer + 6]
        prefix = f"inner.encoder.layer.{layer}"
        biases = [f"{prefix}.attention.self.{name}.bias" for name in ("query", "key", "value")]
        self._product(f"qkv{layer}", hidden, [query, key, value], biases)
        parts = [f"{name}{layer}" for name in ("query", "key", "value")]
        self._nodes.append(helper.make_node("Split", [f"qkv{layer}"], parts, axis=-1))
        seen = self._node(
            "MultiHeadAttention",
            parts,
            f"seen{layer}",
            domain=_FUSED,
            num_heads=HEADS,
            scale=1 / math.sqrt(WIDTH / HEADS),
        )
        self._product(f"out{layer}", seen, [out], [f"{prefix}.attention.output.dense.bias"])
        self._node("Add", [f"out{layer}", hidden], f"attended{layer}")
        attended = self._normal(f"attended{layer}", f"{prefix}.attention.output")
        self._product(f"up{layer}", attended, [up], None)
        bias = f"{prefix}.intermediate.dense.bias"
        curved = self._node(
            "BiasGelu",
            [f"up{layer}", self._constant(bias, self._array(bias))],
            f"curved{layer}",
            domain=_FUSED,
        )
        self._product(f"down{layer}", curved, [down], [f"{prefix}.output.dense.bias"])
        self._node("Add", [f"down{layer}", attended], f"passed{layer}")
        return self._normal(f"passed{layer}", f"{prefix}.output")

    def _product(self, name: str, left: str, right: list[str], biases: list[str] | None) -> None:
        """`left` times the stored matrices side by side; no weight is rounded again."""
        columns = np.concatenate([self._array(f"{each}_q") for each in right], axis=1)
        scales = np.concatenate([self._array(f"{each}_scale").reshape(-1) for each in right])
        inputs = [left, self._constant(f"{name}_q", columns)]
        inputs += [self._constant(f"{name}_scale", scales), ""]
        if biases is not None:
            added = np.concatenate([self._array(each) for each in biases])
            inputs.append(self._constant(f"{name}_bias", added))
        self._node("DynamicQuantizeMatMul", inputs, name, domain=_FUSED)

    def _normal(self, name: str, prefix: str) -> str:
        parts = [f"{prefix}.LayerNorm.{part}" for part in ("weight", "bias")]
        inputs = [name, *(self._constant(part, self._array(part)) for part in parts)]
        return self._node("LayerNormalization", inputs, f"{name}_normal", axis=-1, epsilon=_EPSILON)

    def _array(self, name: str) -> Weights:
        return np.asarray(numpy_helper.to_array(self._stored[name]))

    def _constant(self, name: str, value: Any) -> str:
        self._constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **options: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [output], **options))
        return output
