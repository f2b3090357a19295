"""The export to ONNX, in float64, categories and missing values included.

The graph has an input for each column of the data, named as the column, and an output for each target, named
as `predict` names its columns; both are of the shape (N, 1), a column of lists (N, length).

- A number is a double; null is NaN.
- A level is a string, an int64 or a bool. None of these has a null, so there is an optional input beside it,
  ``<column>:missing``, of bools, that says which rows have none; left out, all have a value.

A row that `predict` refuses, or for which it gives null, is NaN. The operators are those of ONNX 1.12 (opset
17, ai.onnx.ml 3): https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from linreg_dist._version import __version__
from linreg_dist.errors import SpecError
from linreg_dist.export.format import Format
from linreg_dist.wording.names import some_names

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from linreg_dist.export.terms import LevelTerm
    from linreg_dist.model.linear_model import LinearModel

_OPSET, _ML_OPSET, _IR_VERSION = 17, 3, 8
_LARGEST_INT64 = 2**63 - 1


class Onnx(Format):
    """A file ``model.onnx`` for onnxruntime and whatever else runs ONNX."""

    name: ClassVar[str] = "onnx"
    needs: ClassVar[tuple[str, ...]] = ("onnx",)
    place: ClassVar[str] = "model.onnx"

    def files(self, model: LinearModel, dialect: str | None = None) -> Mapping[str, bytes]:
        """Return the file, which onnx's checker has passed.

        Raises:
            SpecError: a column cannot be an input; says why.

        """
        import onnx

        made = _Graph(model).model()
        onnx.checker.check_model(made, full_check=True)
        content: bytes = made.SerializeToString()
        return {"": content}


class _Graph:
    """The graph, built up node by node; names of values begin with a number, so that no column has them."""

    def __init__(self, model: LinearModel) -> None:
        from linreg_dist.export.terms import NumberTerm, terms

        self._model = model
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._constants: list[Any] = []
        self._count = 0
        found = terms(model)
        if not found:
            raise SpecError(
                "the model cannot be exported to ONNX: it has no column, and a graph without inputs no rows"
            )
        self._numbers = [term for term in found if isinstance(term, NumberTerm)]
        self._levels = [term for term in found if not isinstance(term, NumberTerm)]
        self._check_names([term.name for term in found], [term.name for term in self._levels])

    def model(self) -> Any:
        from onnx import TensorProto, helper

        from linreg_dist.export.terms import prediction_names

        total = self._constant(self._model.intercept_K[None])
        if self._numbers:
            total = self._node("Add", total, self._of_numbers())
        for term in self._levels:
            total = self._node("Add", total, self._of_levels(term))
        names = prediction_names(self._model)
        outputs = [
            helper.make_tensor_value_info(self._output(name), TensorProto.DOUBLE, ["N", 1]) for name in names
        ]
        ends = [output.name for output in outputs]
        if len(ends) == 1:
            self._nodes.append(helper.make_node("Identity", [total], ends))
        else:
            sizes = self._constant([1] * len(ends), "int64")
            self._nodes.append(helper.make_node("Split", [total, sizes], ends, axis=1))
        graph = helper.make_graph(self._nodes, "linear_regression", self._inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
        made = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=_IR_VERSION,
            producer_name="linreg_dist",
            producer_version=__version__,
        )
        about = {"targets": list(self._model.targets), "missing": self._model.missing}
        helper.set_model_props(made, {"linreg_dist": json.dumps(about)})
        return made

    def _of_numbers(self) -> str:
        """Return (N, K), Σ coefficient · value over all numbers."""
        import numpy as np
        from onnx import TensorProto

        for term in self._numbers:
            self._input(term.name, TensorProto.DOUBLE, 1 if term.length is None else term.length)
        names = [term.name for term in self._numbers]
        joined = names[0] if len(names) == 1 else self._node("Concat", *names, axis=1)
        missing = self._node("Or", self._node("IsNaN", joined), self._node("IsInf", joined))
        fill = self._constant(np.concatenate([term.fill_L for term in self._numbers])[None])
        filled = self._node("Where", missing, fill, joined)
        coef = self._constant(np.concatenate([term.coef_KL for term in self._numbers], axis=1).T)
        return self._node("MatMul", filled, coef)

    def _of_levels(self, term: LevelTerm) -> str:
        """Return (N, K), the term of each row's level, from a table with two rows more: of values that are no
        level, and of missing ones.
        """
        import numpy as np
        from onnx import TensorProto

        unseen, missing = len(term.levels), len(term.levels) + 1
        table = np.concatenate([term.value_VK, term.unseen_K[None], term.missing_K[None]])
        type_ = {"text": TensorProto.STRING, "integer": TensorProto.INT64, "boolean": TensorProto.BOOL}
        self._input(term.name, type_[term.family], 1)
        value = term.name
        if term.family == "boolean":
            value = self._node("Cast", value, to=TensorProto.INT64)
        codes = self._node(
            "LabelEncoder",
            value,
            domain="ai.onnx.ml",
            **_keys(term),
            values_int64s=list(range(unseen)) or [unseen],
            default_int64=unseen,
        )
        is_missing = self._input(self._missing(term.name), TensorProto.BOOL, 1, rows=None)
        self._constant([[False]], "bool", name=is_missing)
        codes = self._node("Where", is_missing, self._constant([[missing]], "int64"), codes)
        gathered = self._node("Gather", self._constant(table), codes, axis=0)  # (N, 1, K)
        return self._node("Squeeze", gathered, self._constant([1], "int64"))

    def _input(self, name: str, type_: int, width: int, rows: str | None = "N") -> str:
        from onnx import helper

        self._inputs.append(helper.make_tensor_value_info(name, type_, [rows, width]))
        return name

    def _constant(self, values: npt.ArrayLike, dtype: str = "float64", name: str | None = None) -> str:
        import numpy as np
        from onnx import numpy_helper

        array: np.ndarray[Any, Any] = np.ascontiguousarray(values, dtype=dtype)
        chosen = name or self._fresh()
        self._constants.append(numpy_helper.from_array(array, chosen))
        return chosen

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        output = self._fresh()
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def _fresh(self) -> str:
        self._count += 1
        return f"{self._count}:value"

    def _missing(self, column: str) -> str:
        return f"{column}:missing"

    def _output(self, name: str) -> str:
        return name

    def _check_names(self, columns: Sequence[str], levels: Sequence[str]) -> None:
        """See that inputs, outputs and inner values have names of their own, as ONNX wants."""
        from linreg_dist.export.terms import prediction_names

        own = [*columns, *map(self._missing, levels), *map(self._output, prediction_names(self._model))]
        twice = sorted({name for name in own if own.count(name) > 1 or not name})
        inner = [name for name in own if name.endswith(":value") and name.removesuffix(":value").isdigit()]
        if twice or inner:
            raise SpecError(
                f"the model cannot be exported to ONNX: the names {some_names([*twice, *inner])} would stand "
                "for two values of the graph, or are its own. Rename the columns"
            )


def _keys(term: LevelTerm) -> dict[str, Any]:
    if term.family == "text":
        return {"keys_strings": list(term.levels) or [""]}
    numbers = [int(level) for level in term.levels]
    beyond = [number for number in numbers if not -_LARGEST_INT64 - 1 <= number <= _LARGEST_INT64]
    if beyond:
        raise SpecError(
            f"the model cannot be exported to ONNX: the level {beyond[0]} of its column {term.name!r} is "
            "beyond int64"
        )
    return {"keys_int64s": numbers}
