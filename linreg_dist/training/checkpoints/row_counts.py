"""`RowCounts` as JSON: in a checkpoint or a statistics file, and as what a result says of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from linreg_dist.data.summary import RowCounts
from linreg_dist.documents import RowsDocument


def counts_to_json(counts: RowCounts) -> dict[str, Any]:
    """Return the counts as plain numbers."""
    return {
        "read": counts.read,
        "train": counts.train,
        "validation": counts.validation,
        "filtered": counts.filtered,
        "weightless": counts.weightless,
        "missing_rows": counts.missing_rows,
        "missing": dict(counts.missing),
    }


def counts_from_json(document: Mapping[str, Any], group: int = 0) -> RowCounts:
    """Return the counts of `counts_to_json`; missing values are put down to the row group ``group``."""
    return RowCounts(
        read=document["read"],
        train=document["train"],
        validation=document["validation"],
        filtered=document["filtered"],
        weightless=document.get("weightless", 0),  # 0.1.0 kept rows of weight 0
        missing_rows=document["missing_rows"],
        missing=Counter(document["missing"]),
        first_missing=dict.fromkeys(document["missing"], group),
    )


def rows_document(counts: RowCounts) -> RowsDocument:
    """Return what became of the rows, as a result says it."""
    dropped = {"filter": counts.filtered, "missing": counts.missing_rows}
    if counts.weightless:
        dropped["weight 0"] = counts.weightless
    return RowsDocument(train=counts.train, validation=counts.validation, dropped=dropped)


def total_counts(parts: Iterable[RowCounts]) -> RowCounts:
    """Return the counts of all parts together."""
    total = RowCounts()
    for part in parts:
        total.merge(part)
    return total
