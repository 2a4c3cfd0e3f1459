"""A model as an ONNX graph in float64: X -> label and probabilities, or prediction.

Its operators are those that ONNX Runtime computes in double precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mpi_gd.errors import JobError
from mpi_gd.model import Model

__all__ = ["contents"]

_OPSET = 18
# Older runtimes read it too.
_IR_VERSION = 9

# What a link's inverse is, as operators one after another; each takes the last one's result, and
# the constant that is named.
_INVERSE: dict[str, tuple[tuple[str, float | None], ...]] = {
    "identity": (),
    "log": (("Exp", None),),
    "sqrt": (("Pow", 2.0),),
    "inverse": (("Reciprocal", None),),
    "inverse-squared": (("Pow", -0.5),),
    "logit": (("Sigmoid", None),),
    # 1 - exp(-e^z)
    "cloglog": (("Exp", None), ("Neg", None), ("Exp", None), ("Neg", None), ("Add", 1.0)),
}


def contents(model: Model) -> bytes:
    """Return the bytes of the graph; raises JobError without the package, or for probit.

    Input: X (n, d) of double. Outputs of a classifier: label (n,) of int64, double or string, and
    probabilities (n, K), or decision (n, 1) where the loss has none; else prediction (n, 1).
    """
    try:
        import onnx
        from onnx import helper
    except ImportError as error:
        raise JobError(
            f'ONNX files need the package onnx ({error}): pip install "mpi_gd[onnx]"'
        ) from error
    graph = _Graph(helper)
    z = graph.node("MatMul", "X", graph.constant(model.coef.reshape(model.n_features, -1)))
    z = graph.node("Add", z, graph.constant(np.atleast_1d(model.intercept)))
    outputs = [graph.prediction(model, z)]
    if model.classes is not None:
        outputs = [graph.label(model, z), graph.probabilities(model, z)]
    whole = helper.make_graph(
        graph.nodes,
        "mpi_gd",
        [helper.make_tensor_value_info("X", onnx.TensorProto.DOUBLE, ["n", model.n_features])],
        outputs,
        graph.constants,
    )
    made = helper.make_model(
        whole,
        producer_name="mpi_gd",
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


class _Graph:
    """Nodes and constants as they are made."""

    def __init__(self, helper: Any) -> None:
        self._helper = helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any) -> str:
        """Add an array of float64 or text, or int64; return its name."""
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        array = np.asarray(values)
        if array.dtype.kind == "U":
            array = array.astype(object)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add an operator; return its output's name."""
        name = output or f"t{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def _output(self, name: str, kind: int, shape: list[Any]) -> Any:
        return self._helper.make_tensor_value_info(name, kind, shape)

    def inverse_link(self, model: Model, z: str) -> str:
        """Add what makes the mean of z."""
        link = getattr(model.loss, "link", "identity")
        if link not in _INVERSE:
            raise JobError(
                f"the link {link!r} has no operator of double precision in ONNX; export to "
                ".json, or train with another link"
            )
        for operator, constant in _INVERSE[link]:
            more = () if constant is None else (self.constant(np.array(constant)),)
            z = self.node(operator, z, *more)
        return z

    def prediction(self, model: Model, z: str) -> Any:
        """Add the prediction of a number, (n, 1)."""
        from onnx import TensorProto

        self.node("Identity", self.inverse_link(model, z), output="prediction")
        return self._output("prediction", TensorProto.DOUBLE, ["n", 1])

    def label(self, model: Model, z: str) -> Any:
        """Add the label, (n,): of two the second one where z > 0, of more that of the largest z."""
        from onnx import TensorProto

        if model.coef.ndim == 1:
            above = self.node("Greater", z, self.constant(np.array(0.0)))
            place = self.node("Cast", above, to=TensorProto.INT64)
            place = self.node("Reshape", place, self.constant(np.array([-1])))
        else:
            place = self.node("ArgMax", z, axis=1, keepdims=0)
        self.node("Gather", self.constant(model.labels), place, output="label")
        kinds = {"i": TensorProto.INT64, "f": TensorProto.DOUBLE, "U": TensorProto.STRING}
        return self._output("label", kinds[model.labels.dtype.kind], ["n"])

    def probabilities(self, model: Model, z: str) -> Any:
        """Add the probabilities of the labels, (n, K), or the decision, (n, 1)."""
        from onnx import TensorProto

        if not model.loss.has_probabilities:
            self.node("Identity", z, output="decision")
            return self._output("decision", TensorProto.DOUBLE, ["n", 1])
        if model.coef.ndim == 2:
            self.node("Softmax", z, output="probabilities", axis=1)
        else:
            second = self.inverse_link(model, z)
            first = self.node("Sub", self.constant(np.array(1.0)), second)
            self.node("Concat", first, second, output="probabilities", axis=1)
        return self._output("probabilities", TensorProto.DOUBLE, ["n", len(model.classes or ())])
