from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from linreg_dist.storage.tensors import digest_of, numbers, read_metadata, read_tensors

TENSORS = {"a": np.arange(6.0).reshape(2, 3), "n": np.array([1, 2])}
CONTENT = save(TENSORS, {"linreg_dist": json.dumps({"x": 1})})


def test_what_was_saved_is_read() -> None:
    found = read_tensors(CONTENT)
    np.testing.assert_array_equal(found["a"], TENSORS["a"])
    assert read_metadata(CONTENT) == {"x": 1}
    assert digest_of({"x": 1}, found) == digest_of({"x": 1}, TENSORS)


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_any_wrong_byte_gives_another_digest_or_is_refused(place: int, change: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[place] ^= change
    try:
        digest = digest_of(read_metadata(bytes(damaged)), read_tensors(bytes(damaged)))
    except ValueError:
        return
    same = read_tensors(bytes(damaged)).keys() == TENSORS.keys()
    assert digest != digest_of({"x": 1}, TENSORS) or same


@pytest.mark.parametrize("content", [b"", b"{}", CONTENT[:20], b"\xff" * 40, save(TENSORS), b"\0" * 8])
def test_a_file_of_something_else_has_no_document(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_metadata(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (None, "it has no tensor 'a'"),
        (np.zeros((3, 2)), r"the tensor 'a' has the shape \(3, 2\), expected \(2, 3\)"),
        (np.zeros((2, 3), dtype=np.int64), "the tensor 'a' is of int64, expected float64"),
        (np.zeros((2, 3), dtype=bool), "the tensor 'a' is of bool, expected float64"),
        (np.full((2, 3), np.nan), "the tensor 'a' has numbers that are not finite"),
    ],
)
def test_a_tensor_that_is_no_matrix_of_numbers_is_named(tensor: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        numbers({} if tensor is None else {"a": tensor}, "a", (2, 3))


def test_a_digest_is_of_the_numbers_and_not_of_how_they_are_laid_out() -> None:
    x = np.arange(6.0).reshape(2, 3)
    assert digest_of({}, {"x": x}) == digest_of({}, {"x": np.asfortranarray(x)})
    assert digest_of({}, {"x": x}) != digest_of({}, {"x": x.reshape(3, 2)})
    assert digest_of({}, {"x": x}) != digest_of({}, {"y": x})
    assert digest_of({"a": 1}, {}) != digest_of({"a": 2}, {})
