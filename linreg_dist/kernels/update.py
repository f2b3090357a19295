"""The update rules of SGD, Adam, AdamW and RMSprop with the job's penalties, natively: torch's formulas.

`linreg_dist.solvers.gradient.update_rules` has the same rules as torch's own functions, for several workers
and for GPUs; a test holds the two against each other.

Shape suffixes: D encoded columns, K targets, F = K·D + K numbers of a model: the weights row by row, then the
biases.
"""

from __future__ import annotations

import math
from typing import Any

from linreg_dist.kernels.compile import strict_kernel

SGD, ADAM, ADAMW, RMSPROP = range(4)
NO_RULE = -1

_BETA1, _BETA2, _EPSILON, _ALPHA = 0.9, 0.999, 1e-8, 0.99


@strict_kernel
def fold_scale(model_F: Any, scale: Any, plane: Any, narrow: Any) -> None:
    """Write the model, which lives on the unit scale, into ``plane`` and ``narrow``, in the units of blocks.

    With z = (x - m)/s and u = (y - p)/q: coef = weight/s·q, intercept = bias·q + p - m·coef.

    Args:
        model_F: float64.
        scale: (m (D,), s (D,), p (K,), q (K,)).
        plane, narrow: see `run_steps`.

    """
    mean_D, spread_D, target_mean_K, target_spread_K = scale
    num_targets, width = plane[0].shape
    for k in range(num_targets):
        centre = 0.0
        for d in range(width):
            coef = model_F[k * width + d] / spread_D[d] * target_spread_K[k]
            plane[0][k, d] = coef
            narrow[0][k, d] = coef
            centre += mean_D[d] * coef
        intercept = model_F[num_targets * width + k] * target_spread_K[k] + target_mean_K[k] - centre
        plane[1][k] = intercept
        narrow[1][k] = intercept


@strict_kernel
def take_step(sums: Any, rule: Any, state: Any, rate: float, plane: Any, narrow: Any) -> bool:
    """Turn a step's sums into the gradient of the weighted mean loss and update the model by it.

    Args:
        sums: what `sweep_tile` sums up.
        rule: (kind, momentum, l2, proximal 0/1, intercept 0/1, averages 0/1).
        state: (model_F, first_F, second_F, gradient_F, mean_F, counts (2,) int64, epoch_sums (1 + K,), scale,
            l1_K): the model; momentum or first moment; second moment; scratch; the mean of the iterates; how
            many steps the rule and the epoch have taken; the epoch's Σw and Σ w e² on the unit scale;
            see `fold_scale`; the l1 penalty on the scale of the model.
        rate: the step size.
        plane, narrow: see `run_steps`; they follow the model.

    Returns:
        False, and nothing is changed, if a sum of squares is not finite.

    """
    kind, momentum, l2, is_proximal, has_intercept, _ = rule
    model, first, second, gradient, _, counts, epoch_sums, scale, l1_K = state
    mean_D, spread_D, _, target_spread_K = scale
    num_targets, width = plane[0].shape
    size = num_targets * width
    weight = sums[0]
    divisor = weight if weight > 0.0 else 1.0
    for k in range(num_targets):
        unit = target_spread_K[k] * target_spread_K[k]
        if not math.isfinite(sums[1 + num_targets + k] / unit / divisor):
            return False
    epoch_sums[0] += weight
    has_l1 = False
    for k in range(num_targets):
        q = target_spread_K[k]
        epoch_sums[1 + k] += sums[1 + num_targets + k] / (q * q)
        total = sums[1 + 2 * num_targets + k]
        at = 1 + 3 * num_targets + k * width
        for d in range(width):
            gradient[k * width + d] = (sums[at + d] - mean_D[d] * total) / spread_D[d] / q / divisor
        gradient[size + k] = total / q / divisor if has_intercept != 0 else 0.0
        has_l1 = has_l1 or l1_K[k] > 0.0
    if weight > 0.0:
        if has_l1 and is_proximal == 0:
            for j in range(size):
                value = model[j]
                sign = 1.0 if value > 0.0 else (-1.0 if value < 0.0 else 0.0)
                gradient[j] += l1_K[j // width] * sign
        counts[0] += 1
        count = counts[0]
        for j in range(size + num_targets):
            decay = l2 if j < size else 0.0
            g = gradient[j]
            if kind == ADAMW:
                model[j] *= 1.0 - rate * decay
            elif decay != 0.0:
                g += decay * model[j]
            if kind == SGD:
                if momentum != 0.0:
                    first[j] = g if count == 1 else momentum * first[j] + g
                    g = first[j]
                model[j] -= rate * g
            elif kind == RMSPROP:
                second[j] = _ALPHA * second[j] + (1.0 - _ALPHA) * g * g
                g /= math.sqrt(second[j]) + _EPSILON
                if momentum > 0.0:
                    first[j] = momentum * first[j] + g
                    g = first[j]
                model[j] -= rate * g
            else:
                first[j] += (1.0 - _BETA1) * (g - first[j])
                second[j] = _BETA2 * second[j] + (1.0 - _BETA2) * g * g
                root = math.sqrt(second[j]) / math.sqrt(1.0 - _BETA2**count) + _EPSILON
                model[j] -= rate / (1.0 - _BETA1**count) * first[j] / root
        if has_l1 and is_proximal != 0:
            for j in range(size):
                threshold = rate * l1_K[j // width]
                value = model[j]
                if value > threshold:
                    model[j] = value - threshold
                elif value < -threshold:
                    model[j] = value + threshold
                else:
                    model[j] = 0.0
        fold_scale(model, scale, plane, narrow)
    take_empty_step(rule, state)
    return True


@strict_kernel
def take_empty_step(rule: Any, state: Any) -> None:
    """Count a step, and what its iterate adds to the mean: all there is to a step without rows."""
    model, _, _, _, mean, counts, _, _, _ = state
    counts[1] += 1
    if rule[5] != 0:
        for j in range(model.shape[0]):
            mean[j] += (model[j] - mean[j]) / counts[1]
