"""The scoring of some files: what is read, computed and written of each, wherever it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linreg_dist.data.design.types import is_string
from linreg_dist.data.source.manifest import Manifest, RowGroup
from linreg_dist.errors import SpecError
from linreg_dist.model.intervals import Intervals
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.storage import Location
from linreg_dist.verbs.scoring.files import FileWriter
from linreg_dist.verbs.scoring.scan import scan, there_of
from linreg_dist.wording.names import some_names


@dataclass(frozen=True)
class Scored:
    """How many rows were scored, and how many of them have no (first) prediction."""

    rows: int = 0
    nulls: int = 0


@dataclass(frozen=True)
class ScoringJob:
    """All that decides what predictions are written, and where.

    Attributes:
        model: what predicts.
        manifest: the data; a file's key is its place below the folder.
        folder: where predictions go.
        keep: input columns to carry over.
        intervals: of the predictions; None for none.

    """

    model: LinearModel
    manifest: Manifest
    folder: Location
    keep: tuple[str, ...] = ()
    intervals: Intervals | None = None

    @property
    def targets(self) -> list[Location]:
        """Where each file of the data has its predictions."""
        return [self.folder / file.key for file in self.manifest.files]

    @property
    def predictions(self) -> list[str]:
        """The columns that are computed: the predictions, then their intervals."""
        targets = self.model.targets
        names = ["prediction"] if len(targets) == 1 else [f"prediction_{name}" for name in targets]
        return [*names, *(self.intervals.names if self.intervals else ())]

    @property
    def columns(self) -> list[str]:
        """The columns of a file of predictions."""
        return [*self.keep, *self.predictions]

    def check_names(self) -> None:
        """See that no two columns have one name.

        Raises:
            SpecError: names them.

        """
        clash = [name for name in self.predictions if name in self.keep]
        if clash:
            raise SpecError(
                f"--keep {clash[0]} would be overwritten by the prediction of that name; leave it out"
            )
        twice = {name for name in self.predictions if self.predictions.count(name) > 1}
        if twice:
            raise SpecError(
                f"targets are named so that two columns would be called {some_names(sorted(twice))}; predict "
                "without --interval"
            )

    def run(self, numbers: Sequence[int]) -> Scored:
        """Score the files of these numbers, in their order.

        Raises:
            DataError: the data does not fit the model.
            StorageError: an object store does not answer.

        """
        wanted, rows, nulls = set(numbers), 0, 0
        first = self.predictions[0]
        groups = [group for group in self.manifest.row_groups if group.file in wanted]
        read = (*there_of(self.manifest, self.model), *self.keep)
        with FileWriter(self.targets) as writer:
            for group, table in scan(
                self.manifest, self.model, read, self._score, groups, texts=self._texts()
            ):
                writer.write(group.file, table)
                rows += table.num_rows
                nulls += table.column(first).null_count
            empty = pa.schema(
                [self.manifest.schema.field(name) for name in self.keep]
                + [pa.field(name, pa.float64()) for name in self.predictions]
            )
            for number in numbers:
                if self.manifest.files[number].num_rows == 0:
                    writer.write(number, empty.empty_table())
        return Scored(rows, nulls)

    def _score(self, group: RowGroup, table: pa.Table) -> pa.Table:
        model = self.model
        x_ND = model.design_matrix(table, self.manifest.where(group))
        predicted_NK = model.predict_encoded(x_ND)
        columns = [*predicted_NK.T, *(self.intervals.bounds(x_ND, predicted_NK) if self.intervals else ())]
        kept = table.select(list(self.keep))
        predictions = {
            name: _nan_is_null(values) for name, values in zip(self.predictions, columns, strict=True)
        }
        # By columns: a table of none has lost its number of rows.
        return pa.table({**dict(zip(kept.column_names, kept.columns, strict=True)), **predictions})

    def _texts(self) -> list[str]:
        """Return which kept columns are texts; read as dictionaries they take as little memory as on disk."""
        kinds = {field.name: field.type for field in self.manifest.schema}
        return [name for name in self.keep if is_string(kinds[name])]


def _nan_is_null(values: npt.NDArray[np.float64]) -> pa.Array:
    """Return numbers of which NaN is null; unlike `pyarrow.array` this does not import pandas."""
    valid = pa.py_buffer(np.packbits(~np.isnan(values), bitorder="little"))
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.float64(), len(values), [valid, data])
