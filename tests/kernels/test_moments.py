from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.kernels.moments import fold_columns
from tests.kernels.pieces import Problem, problems


def folded(problem: Problem, spans: np.ndarray, shift_Z: np.ndarray) -> np.ndarray:
    padded = (len(shift_Z) + 4) // 4 * 4
    gram = np.zeros((padded, padded))
    piece = np.array(problem.piece(0, problem.x_DN.shape[1]))
    fold_columns(piece, spans, shift_Z, len(problem.x_DN), np.empty(0, problem.dtype), gram)
    return gram


@given(problem=problems(), shifted=st.booleans(), skip=st.integers(1, 15))
@settings(max_examples=60, deadline=None)
def test_the_fold_is_numpys_product_and_does_not_depend_on_alignment(problem, shifted, skip):
    edges = [0, *problem.cuts, problem.x_DN.shape[1]]
    spans = np.array([edges[i : i + 2] for i in range(0, len(edges) - 1, 2)], dtype=np.int64)
    z = np.concatenate([problem.x_DN, problem.y_KN]).astype(np.float64)
    size = len(z)
    shift_Z = z[:, :7].mean(1) if shifted and z.shape[1] else np.zeros(size)
    chosen = np.concatenate([np.arange(a, b) for a, b in spans]).astype(int)
    centred, w = z[:, chosen] - shift_Z[:, None], problem.weights_N()[chosen]
    want = np.zeros((size, size + 1))
    want[:, :size], want[:, size] = (centred * w) @ centred.T, centred @ w
    gram = folded(problem, spans, shift_Z)
    upper = np.triu_indices(size)
    bound = np.abs(centred * w) @ np.abs(centred).T
    assert (np.abs(gram[:size, :size] - want[:, :size])[upper] <= 1e-13 * bound[upper] + 1e-300).all()
    np.testing.assert_allclose(gram[:size, size], want[:, size], rtol=1e-12, atol=1e-12 * (1 + w.sum()))
    assert folded(problem.moved(skip), spans, shift_Z).tobytes() == gram.tobytes()
