"""A data set that is changed in a way whose effect is known gives that effect, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.metamorphic import RELATIONS, Relation, slug


@pytest.mark.parametrize("relation", RELATIONS, ids=slug)
def test_a_change_has_the_effect_that_is_known(relation: Relation, tmp_path: Path) -> None:
    assert relation.difference(tmp_path) <= relation.bound
