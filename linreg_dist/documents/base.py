"""`Document`: the base of everything that is written as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """A JSON object with named, typed fields.

    Only what was set is written: a file that was read is written again with the keys that it had. A key that
    this version does not know, from a newer one or from a solver of one's own, is kept.
    """

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True, populate_by_name=True)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the document that was parsed from JSON.

        Raises:
            ValueError: a field has another type than it can have; names each.

        """
        return cls.model_validate(document)

    def to_json(self) -> dict[str, Any]:
        """Return the document in JSON types."""
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)
