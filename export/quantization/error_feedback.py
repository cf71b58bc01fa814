"""Weights on analog payloads, rounded one after the other so that their errors cancel on calibration data.

Weights of 8 bits, exponents from -8 on and a current of 24 bits leave a weight and the payload that it multiplies 25 bits together: with
payloads of 12 bits, a second group holds less of what the first left over than it does of weights on spikes. But features that go up and
down together let one weight make good the error of another. So what rounding takes from a weight is spread over those not yet rounded,
where it changes the sums least:

    least sum over steps and samples of ((q - w) x)^2,      greedily, the inputs of most power first

(Optimal Brain Surgeon, Hassibi and Stork 1993; in this order and factorised once for all neurons, Frantar et al. 2022.) It costs no memory.
Weights on spikes have their residue in whole and are rounded to the nearest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.network import Array, Network, Projection
from snnfuse.export.lowering.weights import ConvWeights, DenseWeights, SparseWeights, Weights
from snnfuse.export.quantization.fitting import Fit, Input, build, effective, sends_numbers
from snnfuse.export.quantization.membrane_moments import Moments, patches
from snnfuse.export.quantization.rounding import Rounded, Rounds, hold, nearest

if TYPE_CHECKING:
    from snnfuse.export.quantization.fed_population import FedPopulation

# Plain choices; `python -m benchmarks.calibration` varies SWEEPS, without which 4 bits of the Braille graph lose one class of 350, and
# DAMPING, which changes nothing there, where no input is analog.
LARGEST = 2048  # inputs of a neuron: beyond, the factorisation takes longer than everything else
ROWS = 1 << 16  # of calibration payloads that moments are taken of
SWEEPS = 4  # over all weights, after they were rounded in turn
DAMPING = 0.01  # of the mean power, added to every input's, lest a direction that the data lacks take up all errors


def with_feedback(network: Network, name: str, fit: Fit, sent: Mapping[str, NDArray], inputs: Mapping[str, Input]) -> Fit | None:
    """The same scale and groups with the weights on payloads rounded in turn, unmeasured; None where there are none to round so.

    Args:
        network, sent, inputs: as of `calibrate.fit_population`, the network in the fit's units.
        fit: of weights rounded to the nearest.
    """
    projections = [effective(network, p, inputs) for p in network.into(name)]
    graded = [sends_numbers(network, p.source, inputs) and not p.is_fixed for p in projections]
    found = [round_in_turn(p, sent[p.source], fit.scale, rounds) if g else None for p, rounds, g in zip(projections, fit.rounds, graded)]
    if fit.faithful or not any(found):
        return None
    rounded = [hold(p.weights, fit.scale, rounds) if f is None else f for p, rounds, f in zip(projections, fit.rounds, found)]
    return build(network.populations[name], projections, graded, fit.scale, list(fit.forms), rounded)


def compensated(fed: "FedPopulation", fit: Fit, moments: Moments) -> Fit | None:
    """The same scale and groups with weights whose errors cancel in the membrane, unmeasured; None where a register holds no such.

    Args:
        fed: in the fit's units.
        fit: of weights rounded to the nearest.
        moments: of the population, in its own units.
    """
    network, name = fed.network, fed.name
    population, projections = network.populations[name], [effective(network, p, fed.inputs) for p in network.into(name)]
    is_conv = isinstance(projections[0].weights, ConvWeights)
    rows = (np.ones(population.shape) if fit.units is None else fit.units) * fit.scale
    rows = (rows[:, :1, :1] if is_conv else rows).reshape(-1, 1)  # behind a convolution, a channel's are the same
    sizes = [_inputs(p.weights) for p in projections]
    nearest_of = [partial(nearest, rounds=rounds) for rounds, size in zip(fit.rounds, sizes) for _ in range(size)]
    held = in_turn_each(moments.best * rows, moments, nearest_of)
    parts = np.split(held, np.cumsum(sizes)[:-1], axis=1)
    rounded = [_as_rounded(p.weights, part, fit.scale, rounds) for p, part, rounds in zip(projections, parts, fit.rounds)]
    graded = [sends_numbers(network, p.source, fed.inputs) for p in projections]
    found = build(population, projections, graded, fit.scale, list(fit.forms), rounded)
    values = tuple((r.wanted - r.rest) / fit.scale for r in rounded)
    return None if found is None else replace(found, units=fit.units, held=values)


def _as_rounded(weights: Weights, held: Array, scale: float, rounds: Rounds) -> Rounded:
    """Groups that hold these numbers, (neurons, inputs), and how far they are from the weights times K."""
    values = _with_matrix(weights, held / scale)
    found, wanted = hold(values, scale, rounds), weights.values * scale
    return replace(found, wanted=wanted, rest=wanted - (found.wanted - found.rest), saturated=hold(weights, scale, rounds).saturated)


def _inputs(weights: Weights) -> int:
    return weights.kernel[0].size if isinstance(weights, ConvWeights) else weights.matrix.shape[1]


def _with_matrix(weights: Weights, matrix: Array) -> Weights:
    if isinstance(weights, ConvWeights):
        return replace(weights, kernel=matrix.reshape(weights.kernel.shape))
    if not isinstance(weights, SparseWeights):
        return DenseWeights(matrix)
    sparse = weights.matrix.copy()
    sparse.data = matrix[np.repeat(np.arange(sparse.shape[0]), np.diff(sparse.indptr)), sparse.indices]
    return SparseWeights(sparse)


def round_in_turn(projection: Projection, payloads: NDArray, scale: float, rounds: Rounds) -> Rounded | None:
    """A projection as of `effective` on the grids given, at scale K, for payloads (time, batch, *shape); None where structure or size of
    the weights does not allow it, or nothing was ever sent."""
    weights = projection.weights
    met = met_by(weights, payloads)
    if met is None or not met.any():
        return None
    wanted = weights.values * scale
    held = in_turn(wanted.reshape(len(wanted), -1), met.T @ met, rounds).reshape(wanted.shape)
    found = hold(_with_values(weights, held / scale), scale, rounds)
    return replace(found, wanted=wanted, rest=wanted - (found.wanted - found.rest), saturated=hold(weights, scale, rounds).saturated)


def _with_values(weights: Weights, values: Array) -> Weights:
    return replace(weights, kernel=values) if isinstance(weights, ConvWeights) else DenseWeights(values)


def met_by(weights: Weights, payloads: NDArray) -> Array | None:
    """What each of a neuron's weights is multiplied with, (rows, inputs of a neuron): of steps, samples and places evenly chosen, `ROWS` or
    a little more. None for listed synapses, convolutions in groups, and neurons of more than `LARGEST` inputs.

    payloads: (time, batch, *shape).
    """
    is_conv = isinstance(weights, ConvWeights)
    if not (isinstance(weights, DenseWeights) or (is_conv and weights.groups == 1)) or weights.values[0].size > LARGEST:
        return None
    frames, places = payloads.reshape(-1, *payloads.shape[2:]), int(np.prod(weights.output_shape[1:])) if is_conv else 1
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), -(-ROWS // places))).astype(int))
    frames = frames[chosen].astype(np.float64)
    return patches(weights, frames) if is_conv else frames.reshape(len(frames), -1)


def in_turn_each(wanted: Array, moments: Moments, nearest_of: Sequence[Callable[[Array], Array]]) -> Array:
    """As `in_turn`, with moments of each neuron's own. All weights are then moved again, one after the other, to where the error of all
    others asks for them. (neurons, inputs).

    wanted: (neurons, inputs), times K.
    nearest_of: by input, what its groups hold.
    """
    matrix = moments.matrix
    order = np.argsort(-np.diagonal(matrix, axis1=1, axis2=2).sum(0), kind="stable")
    factor = np.linalg.cholesky(np.linalg.inv(matrix[:, order][:, :, order])).transpose(0, 2, 1)
    left, held = wanted[:, order], np.empty_like(wanted)
    for i, column in enumerate(order):
        held[:, column] = _taken(left[:, i], column, moments, nearest_of)
        error = (left[:, i] - held[:, column]) / factor[:, i, i]
        left[:, i + 1 :] -= error[:, None] * factor[:, i, i + 1 :]
    error = held - wanted
    for _ in range(SWEEPS):
        for column in order:
            slope = error @ matrix[0, column] if len(matrix) == 1 else np.einsum("ni,ni->n", error, matrix[:, column])
            held[:, column] = _taken(held[:, column] - slope / matrix[:, column, column], column, moments, nearest_of)
            error[:, column] = held[:, column] - wanted[:, column]
    return held


def _taken(values: Array, column: int, moments: Moments, nearest_of: Sequence[Callable[[Array], Array]]) -> Array:
    return np.where(moments.present[:, column], nearest_of[column](values), 0.0)


def in_turn(wanted: Array, moments: Array, rounds: Rounds) -> Array:
    """Weights times K (neurons, inputs) to numbers that the groups hold.

    moments: sums of the products of any two inputs, (inputs, inputs); not all zero.
    """
    power = np.diag(moments)
    order = np.argsort(-power, kind="stable")
    damped = (moments + DAMPING * power.mean() * np.eye(len(power)))[np.ix_(order, order)]
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T  # upper: row i is how the error of input i is spread over those after it
    left, held = wanted[:, order], np.empty_like(wanted)
    for i, column in enumerate(order):
        held[:, column] = nearest(left[:, i], rounds)
        error = (left[:, i] - held[:, column]) / factor[i, i]
        left[:, i + 1 :] -= error[:, None] * factor[i, i + 1 :]
    return held
