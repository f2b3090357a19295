"""Weighted first and second moments of the rows z = [x, y]: all that an exact linear model needs of the data.

The moments of two sets of rows merge into those of their union, exactly and in any grouping, so every
worker sums its own rows and one reduction ends the pass. Means are kept as ``shift + offset``: a point near
the data, and the digits, of which a column with mean/std = 1e6 then loses none.

Merge: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances"
(1979), eq. 2.1; the weighted multivariate form is Pébay et al., "Numerically stable, scalable formulas for
parallel and online computation of higher-order multivariate central moments with arbitrary weights" (2016).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from linreg_dist.errors import DataError
from linreg_dist.stats.kernel import Array, Floats, Spans, Sums, pilot_shift, shifted_sums
from linreg_dist.wording.names import some_names

_NUM_SCALARS = 5


@dataclass
class Moments:
    """Sufficient statistics of a weighted least-squares problem, Z = p + k columns.

    Arrays are float64.

    Attributes:
        feature_names, target_names: the p features, then the k targets, in the order of z.
        n: number of rows, zero-weight rows included.
        n_zero_weight: how many of them weigh nothing.
        sum_w, sum_w2, sum_log_w: Σw, Σw², and Σ log w over the rows that weigh something.
        shift (Z,): the point that `offset` is measured from.
        offset (Z,): weighted mean minus shift.
        cross (Z, Z): Σ w (z - mean)(z - mean)', symmetric.

    """

    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    n: int
    n_zero_weight: int
    sum_w: float
    sum_w2: float
    sum_log_w: float
    shift: Floats
    offset: Floats
    cross: Floats

    @classmethod
    def empty(cls, feature_names: Sequence[str], target_names: Sequence[str]) -> Moments:
        """Return the moments of no rows: the neutral element of `merge`."""
        size = len(feature_names) + len(target_names)
        names = tuple(feature_names), tuple(target_names)
        return cls(*names, 0, 0, 0.0, 0.0, 0.0, np.zeros(size), np.zeros(size), np.zeros((size, size)))

    @classmethod
    def from_block(
        cls,
        x_ND: Array,
        y_NK: Array,
        w_N: Array | None = None,
        *,
        shift_Z: Floats | None = None,
        feature_names: Sequence[str] | None = None,
        target_names: Sequence[str] | None = None,
        sums: Sums = shifted_sums,
    ) -> Moments:
        """Return the moments of one block of rows.

        ``shift_Z`` defaults to a pilot mean of this block, which is the right choice unless bit-equal
        moments for a given shift are wanted. Names default to x0, x1, … and y0, y1, …. ``sums`` is who
        adds up.

        Raises:
            DataError: shapes do not match, or a value or weight is NaN, infinite, negative (weights) or too
                large to be squared in float64; the columns are named.

        """
        names = _block_names(x_ND, y_NK, w_N, feature_names, target_names)
        if shift_Z is None and x_ND.shape[0]:
            shift_Z = _pilot_shift(x_ND, y_NK)
        return cls._from_spans(x_ND, y_NK, w_N, [(0, x_ND.shape[0])], shift_Z, names, sums)

    @classmethod
    def from_spans(
        cls,
        x_ND: Array,
        y_NK: Array,
        w_N: Array | None,
        spans: Sequence[Spans],
        *,
        feature_names: Sequence[str] | None = None,
        target_names: Sequence[str] | None = None,
        sums: Sums = shifted_sums,
    ) -> list[Moments]:
        """Return the moments of several parts of a block, each given by half-open ranges of rows.

        All parts are summed around the block's pilot mean, which is near theirs where they are drawn from all
        of it. Raises as `from_block` does.
        """
        names = _block_names(x_ND, y_NK, w_N, feature_names, target_names)
        shift_Z = _pilot_shift(x_ND, y_NK) if x_ND.shape[0] else None
        return [cls._from_spans(x_ND, y_NK, w_N, part, shift_Z, names, sums) for part in spans]

    @classmethod
    def _from_spans(
        cls,
        x_ND: Array,
        y_NK: Array,
        w_N: Array | None,
        spans: Spans,
        shift_Z: Floats | None,
        names: tuple[tuple[str, ...], tuple[str, ...]],
        sums: Sums,
    ) -> Moments:
        num_rows = sum(stop - start for start, stop in spans)
        if num_rows == 0 or shift_Z is None:
            return cls.empty(*names)
        taken_N = w_N
        if w_N is not None and (len(spans) > 1 or num_rows < len(w_N)):
            taken_N = np.concatenate([w_N[a:b] for a, b in spans])
        with np.errstate(over="ignore", invalid="ignore"):  # refused below, by name
            gram_ZZ, sum_Z = sums(x_ND, y_NK, shift_Z, w_N, spans)
        return cls.from_sums(names, num_rows, taken_N, shift_Z, gram_ZZ, sum_Z)

    @classmethod
    def from_sums(
        cls,
        names: tuple[tuple[str, ...], tuple[str, ...]],
        num_rows: int,
        w_N: Array | None,
        shift_Z: Floats,
        gram_ZZ: Floats,
        sum_Z: Floats,
    ) -> Moments:
        """Return the moments of rows that were summed around ``shift_Z``.

        Args:
            names: of the features and the targets.
            num_rows: how many.
            w_N: their weights, None where all are 1.
            shift_Z: near their mean.
            gram_ZZ: Σ w (z - shift)(z - shift)', taken over: it is changed in place.
            sum_Z: Σ w (z - shift).

        Raises:
            DataError: as `from_block`.

        """
        sum_w, sum_w2, sum_log_w, n_zero = float(num_rows), float(num_rows), 0.0, 0
        if w_N is not None:
            sum_w, sum_w2, sum_log_w, n_zero = _weight_sums(w_N)
        with np.errstate(over="ignore", invalid="ignore"):  # refused below, by name
            offset_Z = sum_Z / sum_w if sum_w > 0 else sum_Z
            # The shift is at most about a standard deviation from the mean: this cancels nothing.
            _add_outer(gram_ZZ, offset_Z, -sum_w)
        _require_finite(gram_ZZ, (*names[0], *names[1]))
        return cls(*names, num_rows, n_zero, sum_w, sum_w2, sum_log_w, shift_Z, offset_Z, gram_ZZ)

    def merge(self, other: Moments) -> None:
        """Add the rows of ``other`` in place; the shift of ``self`` is kept unless ``self`` is empty.

        Raises:
            DataError: the two do not have the same columns in the same order.

        """
        self._require_same_columns(other, "merged")
        total = self.sum_w + other.sum_w
        if self.sum_w == 0:
            self.shift, self.offset, self.cross = other.shift.copy(), other.offset.copy(), other.cross.copy()
        elif other.sum_w > 0:
            # Shifts are near each other, so their difference is exact and the offsets keep their digits.
            delta_Z = other.offset + (other.shift - self.shift) - self.offset
            self.cross += other.cross
            _add_outer(self.cross, delta_Z, self.sum_w * (other.sum_w / total))
            self.offset = self.offset + delta_Z * (other.sum_w / total)
        self.n += other.n
        self.n_zero_weight += other.n_zero_weight
        self.sum_w = total
        self.sum_w2 += other.sum_w2
        self.sum_log_w += other.sum_log_w

    def merged(self, other: Moments) -> Moments:
        """Return the moments of the rows of both; neither is changed. Raises as `merge` does."""
        result = self.clone()
        result.merge(other)
        return result

    def subtract(self, other: Moments) -> Moments:
        """Return the moments of the rows of ``self`` without those of ``other``, which must be among them.

        The merge formula solved for one part. Digits are lost in proportion to what goes: about
        log10(Σw before / Σw after), more where the rows that went lay far from those that stay.

        Raises:
            DataError: the columns differ, or ``other`` has more rows or weight than ``self``.

        """
        self._require_same_columns(other, "subtracted")
        rest_n, rest_zero = self.n - other.n, self.n_zero_weight - other.n_zero_weight
        rest_w = self.sum_w - other.sum_w
        if rest_n < 0 or rest_zero < 0 or rest_w < -1e-9 * self.sum_w:
            raise DataError(
                f"cannot subtract {other.n} rows (weight {other.sum_w:g}) from {self.n} rows (weight "
                f"{self.sum_w:g}): they cannot be part of them; subtract only what was merged before"
            )
        if rest_n == rest_zero:
            empty = Moments.empty(self.feature_names, self.target_names)
            return replace(empty, n=rest_n, n_zero_weight=rest_zero)
        # δ = mean of `other` - mean of the whole; mean of the rest = mean of the whole - δ·w/rest.
        delta_Z = other.offset + (other.shift - self.shift) - self.offset
        cross_ZZ = self.cross - other.cross
        _add_outer(cross_ZZ, delta_Z, -other.sum_w * (self.sum_w / rest_w))
        return replace(
            self,
            n=rest_n,
            n_zero_weight=rest_zero,
            sum_w=rest_w,
            sum_w2=self.sum_w2 - other.sum_w2,
            sum_log_w=self.sum_log_w - other.sum_log_w,
            shift=self.shift.copy(),
            offset=self.offset - delta_Z * (other.sum_w / rest_w),
            cross=cross_ZZ,
        )

    def select(self, features: Sequence[str] | None = None, targets: Sequence[str] | None = None) -> Moments:
        """Return the moments of a subset of the columns, in the order given; None keeps all.

        Raises:
            DataError: a name is not among the features (targets), or is given twice.

        """
        new_features = self.feature_names if features is None else tuple(features)
        new_targets = self.target_names if targets is None else tuple(targets)
        index = [
            *_positions(new_features, self.feature_names, "feature", 0),
            *_positions(new_targets, self.target_names, "target", len(self.feature_names)),
        ]
        index_Z = np.array(index, dtype=np.intp)
        return replace(
            self,
            feature_names=new_features,
            target_names=new_targets,
            shift=self.shift[index_Z],
            offset=self.offset[index_Z],
            cross=self.cross[index_Z][:, index_Z],
        )

    @property
    def mean(self) -> Floats:
        """Weighted means of the columns, (Z,)."""
        return self.shift + self.offset

    @property
    def num_features(self) -> int:
        """p, the number of features."""
        return len(self.feature_names)

    @property
    def num_targets(self) -> int:
        """k, the number of targets."""
        return len(self.target_names)

    def clone(self) -> Moments:
        """Return a copy that shares no memory."""
        return replace(self, shift=self.shift.copy(), offset=self.offset.copy(), cross=self.cross.copy())

    def pack(self) -> Floats:
        """Return everything but the names as one float64 vector: what a worker sends in a gather.

        Five scalars, shift, offset, upper triangle: 5 + 2Z + Z(Z+1)/2 values. Counts are exact below 2**53.
        """
        scalars = [self.n, self.n_zero_weight, self.sum_w, self.sum_w2, self.sum_log_w]
        upper = self.cross[np.triu_indices(len(self.cross))]
        return np.concatenate([np.array(scalars, dtype=np.float64), self.shift, self.offset, upper])

    @classmethod
    def unpack(cls, packed: Floats, feature_names: Sequence[str], target_names: Sequence[str]) -> Moments:
        """Rebuild moments from `pack`; raises DataError when the length does not fit the names."""
        size = len(feature_names) + len(target_names)
        expected = _NUM_SCALARS + 2 * size + size * (size + 1) // 2
        if packed.size != expected:
            raise DataError(f"packed moments hold {packed.size} values; {size} columns need {expected}")
        n, n_zero, sum_w, sum_w2, sum_log_w = packed[:_NUM_SCALARS].tolist()
        body = packed[_NUM_SCALARS:].copy()
        shift_Z, offset_Z, upper = body[:size], body[size : 2 * size], body[2 * size :]
        cross_ZZ = np.zeros((size, size))
        rows, columns = np.triu_indices(size)
        cross_ZZ[rows, columns] = upper
        cross_ZZ[columns, rows] = upper
        names = tuple(feature_names), tuple(target_names)
        return cls(*names, int(n), int(n_zero), sum_w, sum_w2, sum_log_w, shift_Z, offset_Z, cross_ZZ)

    def _require_same_columns(self, other: Moments, done: str) -> None:
        if (self.feature_names, self.target_names) == (other.feature_names, other.target_names):
            return
        mine, theirs = (*self.feature_names, *self.target_names), (*other.feature_names, *other.target_names)
        odd = sorted(set(mine) ^ set(theirs))
        what = (
            f"not in both: {some_names(odd[:10])}" if odd else "the order or the split into targets differs"
        )
        raise DataError(
            f"statistics of different columns cannot be {done}: {len(mine)} against {len(theirs)}; {what}"
        )


def merged_moments(parts: Iterable[Moments]) -> Moments:
    """Merge in a fixed pairwise tree: the same parts in the same order give the same bits, and less rounding
    than a running sum does. Raises DataError for no parts.
    """
    level = list(parts)
    if not level:
        raise DataError("no statistics to merge: at least one part is needed")
    while len(level) > 1:
        paired = [level[i].merged(level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0].clone()


def _pilot_shift(x_ND: Array, y_NK: Array) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):  # what cannot be summed is refused by name
        return pilot_shift(x_ND, y_NK)


def _add_outer(cross_ZZ: Floats, delta_Z: Floats, factor: float) -> None:
    """Add ``factor · δδ'`` in place, symmetric to the last bit (α·δᵢ·δⱼ rounds differently from α·δⱼ·δᵢ)."""
    scaled_Z = delta_Z * math.sqrt(abs(factor))
    cross_ZZ += np.outer(scaled_Z if factor >= 0 else -scaled_Z, scaled_Z)


def _block_names(
    x_ND: Array,
    y_NK: Array,
    w_N: Array | None,
    feature_names: Sequence[str] | None,
    target_names: Sequence[str] | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Check the shapes of a block against each other and the names; return the names, made up where None."""
    if x_ND.ndim != 2 or y_NK.ndim != 2 or x_ND.shape[0] != y_NK.shape[0]:
        raise DataError(
            f"a block is x (N, D) and y (N, K) with equal N; got x {tuple(x_ND.shape)} and y "
            f"{tuple(y_NK.shape)}"
        )
    if w_N is not None and w_N.shape != x_ND.shape[:1]:
        raise DataError(f"weights must be one per row, ({x_ND.shape[0]},); got {tuple(w_N.shape)}")
    features = tuple(feature_names or (f"x{i}" for i in range(x_ND.shape[1])))
    targets = tuple(target_names or (f"y{i}" for i in range(y_NK.shape[1])))
    if (len(features), len(targets)) != (x_ND.shape[1], y_NK.shape[1]):
        raise DataError(
            f"{len(features)} feature and {len(targets)} target names were given for a block of "
            f"{x_ND.shape[1]} features and {y_NK.shape[1]} targets"
        )
    return features, targets


def _weight_sums(w_N: Array) -> tuple[float, float, float, int]:
    """Return Σw, Σw², Σ log w over positive w, and the number of zero weights."""
    w_N = w_N.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        logs = np.log(np.where(w_N > 0, w_N, 1.0))
        sum_w, sum_w2, sum_log_w = float(w_N.sum()), float(np.square(w_N).sum()), float(logs.sum())
    num_zero = int(np.count_nonzero(w_N == 0))
    if not (w_N.min() >= 0 and sum_w2 < float("inf")):
        bad = int((~((w_N >= 0) & np.isfinite(w_N))).sum())
        raise DataError(
            f"{bad} of {w_N.size} row weights are negative, NaN or infinite (or their squares overflow); "
            "weights must be finite and not negative"
        )
    return sum_w, sum_w2, sum_log_w, num_zero


def _require_finite(gram_ZZ: Floats, names: Sequence[str]) -> None:
    """Raise DataError naming the columns whose second moment is not finite."""
    finite_Z = np.isfinite(gram_ZZ.diagonal())
    if not bool(finite_Z.all()):
        bad = [name for name, ok in zip(names, finite_Z.tolist(), strict=True) if not ok]
        more = f" and {len(bad) - 10} more" if len(bad) > 10 else ""
        raise DataError(
            f"NaN, infinite or overflowing values in {some_names(bad[:10])}{more}: every value must be "
            "finite and below about 1e150; drop or fill such rows first"
        )


def _positions(wanted: Sequence[str], have: Sequence[str], kind: str, start: int) -> list[int]:
    """Return ``start`` plus the place of each wanted name."""
    place = {name: start + i for i, name in enumerate(have)}
    unknown = [name for name in wanted if name not in place]
    if unknown or len(set(wanted)) != len(wanted):
        fault = f"unknown: {some_names(unknown)}" if unknown else "a name is given twice"
        shown = some_names(have[:20]) + (", …" if len(have) > 20 else "")
        raise DataError(f"these statistics have no such {kind}s ({fault}); available: {shown}")
    return [place[name] for name in wanted]
