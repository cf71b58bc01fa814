"""Weights on analog payloads, rounded one after the other so that their errors cancel on calibration data.

Weights of 8 bits, exponents from -8 on and a current of 24 bits leave a weight and the payload that it multiplies 25 bits together: with
payloads of 12 bits, a second group holds less of what the first left over than it does of weights on spikes. But features that go up and
down together let one weight make good the error of another. So what rounding takes from a weight is spread over those not yet rounded,
where it changes the sums least:

    least sum over steps and samples of ((q - w) x)^2,      greedily, the inputs of most power first

(Optimal Brain Surgeon, Hassibi and Stork 1993; in this order and factorised once for all neurons, Frantar et al. 2022.) It costs no memory.
Weights on spikes have their residue in whole and are rounded to the nearest.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from snnfuse.export.lowering.network import Array, Network, Projection
from snnfuse.export.lowering.weights import ConvWeights, DenseWeights, Weights
from snnfuse.export.quantization.fitting import Fit, Input, build, effective, sends_numbers
from snnfuse.export.quantization.rounding import Rounded, Rounds, hold, nearest

# Plain choices: no benchmark here has an analog input on which `python -m benchmarks.calibration` could vary them.
LARGEST = 2048  # inputs of a neuron: beyond, the factorisation takes longer than everything else
ROWS = 1 << 16  # of calibration payloads that moments are taken of
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
    return _patches(weights, frames) if is_conv else frames.reshape(len(frames), -1)


def _patches(weights: ConvWeights, frames: Array) -> Array:
    """(frames, *input_shape) to (frames * places, taps), the taps in the order of a kernel's."""
    (rows, columns), (down, across), dilation = weights.padding, weights.stride, weights.dilation
    padded = np.pad(frames.reshape(-1, *weights.input_shape), ((0, 0), (0, 0), (rows, rows), (columns, columns)))
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, weights.kernel.shape[2:]))
    windows = sliding_window_view(padded, spans, axis=(2, 3))[:, :, ::down, ::across, :: dilation[0], :: dilation[1]]
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, weights.kernel[0].size)


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
