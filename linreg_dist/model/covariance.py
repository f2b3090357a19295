"""The covariance matrix of a model's coefficients, in a file of its own beside the model.

``covariance.safetensors`` holds the float64 tensors ``matrix`` (M, Q, Q) and ``scale`` (K,), and as string
metadata the names of the Q coefficients and of the K targets and the kind of covariance. Classical
covariances of several targets differ by a factor only: they are kept as one matrix (M = 1), so 4,000 columns
take 128 MB for any number of targets.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from linreg_dist.data.design.documents import check_texts
from linreg_dist.errors import SpecError
from linreg_dist.storage import TENSORS_BYTES, ObjectPath, as_location, read_file, write_whole
from linreg_dist.storage.tensors import CHANGED, digest_of, numbers, read_metadata, read_tensors
from linreg_dist.wording.names import some_names

FILE_NAME = "covariance.safetensors"
KINDS = ("nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CoefficientCovariance:
    """Covariances of the coefficients of K targets.

    Attributes:
        names: of the Q coefficients: the intercept first where there is one, then the features.
        targets: names of the K targets.
        kind: nonrobust, HC0 … HC3 or cluster.
        matrix_MQQ: (M, Q, Q), M = K, or 1 where the targets share it; NaN for a constant feature.
        scale_K: (K,), the factor of target k's matrix.

    """

    names: tuple[str, ...]
    targets: tuple[str, ...]
    kind: str
    matrix_MQQ: Array
    scale_K: Array

    def of(self, target: str) -> Array:
        """Return the covariance (Q, Q) of one target's coefficients.

        Raises:
            SpecError: there is no such target.

        """
        if target not in self.targets:
            raise SpecError(f"the model has no target {target!r}; there are {some_names(self.targets)}")
        k = self.targets.index(target)
        covariance: Array = self.matrix_MQQ[min(k, len(self.matrix_MQQ) - 1)] * self.scale_K[k]
        return covariance

    def save(self, place: str | Path | ObjectPath) -> None:
        """Write the file, at a path or a URI, whole or not at all."""
        metadata = {"names": self.names, "targets": self.targets, "kind": self.kind}
        tensors = {"matrix": np.ascontiguousarray(self.matrix_MQQ), "scale": self.scale_K}
        metadata = {**metadata, "checksum": digest_of(metadata, tensors)}
        write_whole(as_location(place), save(tensors, metadata={"linreg_dist": json.dumps(metadata)}))

    @classmethod
    def load(cls, place: str | Path | ObjectPath) -> CoefficientCovariance:
        """Read what `save` wrote.

        Raises:
            SpecError: it cannot be read.
            StorageError: an object store does not answer.

        """
        try:
            content = read_file(as_location(place), TENSORS_BYTES)
            return cls._checked(read_metadata(content), read_tensors(content))
        except (OSError, ValueError) as error:
            raise SpecError(f"the covariance at {place} cannot be read: {error}; train again") from error

    @classmethod
    def _checked(
        cls, metadata: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]
    ) -> CoefficientCovariance:
        if metadata.pop("checksum", None) not in (None, digest_of(metadata, tensors)):
            raise ValueError(CHANGED)
        names: Any = metadata.get("names")
        targets: Any = metadata.get("targets")
        kind = metadata.get("kind")
        check_texts(names, "names")
        check_texts(targets, "targets")
        if kind not in KINDS:
            raise ValueError(f"its kind is {kind!r}, expected one of {', '.join(KINDS)}")
        q = len(names)
        m = 1 if "matrix" in tensors and len(tensors["matrix"]) == 1 else len(targets)
        # NaN stands for a constant feature.
        matrix_MQQ = numbers(tensors, "matrix", (m, q, q), finite=False)
        if np.isinf(matrix_MQQ).any():
            raise ValueError("its matrix has infinite numbers")
        scale_K = numbers(tensors, "scale", (len(targets),))
        if not np.allclose(matrix_MQQ, matrix_MQQ.transpose(0, 2, 1), rtol=1e-6, atol=0.0, equal_nan=True):
            raise ValueError("its matrix is not symmetric")
        if (np.diagonal(matrix_MQQ, axis1=1, axis2=2) < 0).any() or (scale_K < 0).any():
            raise ValueError("it has negative variances")
        return cls(tuple(names), tuple(targets), kind, matrix_MQQ, scale_K)
