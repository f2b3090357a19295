"""The PyTorch loop of the README and the spec beside it give the same weights."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from linreg_dist.kernels.choice import VARIABLE
from tests.parquet import linear_columns, write_parquet

README = (Path(__file__).parents[2] / "README.md").read_text()
FEATURES = [f"x{i}" for i in range(5)]


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    return found


@pytest.mark.parametrize("kernels", ["plain", "native"])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_the_loop_and_the_spec_give_the_same_weights(tmp_path, train_here, monkeypatch, optimizer, kernels):
    monkeypatch.setenv(VARIABLE, kernels)
    columns = {name: values.astype(np.float32) for name, values in linear_columns(4000, 5).items()}
    data = write_parquet(tmp_path / "a.parquet", columns, row_group_size=1700)
    code, spec = block("py"), yaml.safe_load(block("yml"))
    assert len([line for line in code.splitlines() if line]) == 12
    if optimizer == "Adam":
        code = code.replace("optim.SGD", "optim.Adam")
        # Adam divides by the gradient's size, so the factor 2 of MSELoss does not matter to it.
        spec["solver"] |= {"name": "adam", "learning_rate": spec["solver"]["learning_rate"] / 2}
    x = np.column_stack([columns[name] for name in FEATURES])
    loop = {"x": torch.from_numpy(x), "y": torch.from_numpy(columns["y"])[:, None]}
    exec(code, loop)  # noqa: S102 (the README is ours)
    model: nn.Linear = loop["model"]
    run = train_here(data, data={"features": FEATURES}, **spec)
    assert np.abs(run.model.coef_).max() > 0.05, "it has learnt something"
    np.testing.assert_allclose(run.model.coef_, model.weight.detach()[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run.model.intercept_, model.bias.item(), rtol=1e-4, atol=1e-5)
