"""What an error of each weight costs a population that is fed with what the float network sends.

    trace     the membrane that an input makes through a weight of 1, current and voltage fading as the integers' registers say
    moments   sum over steps and samples of h trace trace',      h = 1 / (1 + SLOPE |v - theta| / theta)^2

An error e of a neuron's weights moves its membrane by e trace, and costs e' moments e: its square, where the float membrane v is near the
threshold and a spike can change (h is the surrogate gradient of `snnfuse.nn.gradients`; so this is the Gauss-Newton matrix of a loss on
spikes). A spike resets traces as it does the membrane. `best` are the weights, before rounding, whose membrane with rounded decays comes
nearest to the float one. A membrane that is read counts everywhere, h = 1. (A bias that corrects the mean of the membrane beside them was
tried, and brought nothing on other data.)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from snnfuse.export.lowering.float_neurons import FloatNeuron
from snnfuse.export.lowering.network import Array, Population, Projection
from snnfuse.export.lowering.weights import ConvWeights, SparseWeights, Weights
from snnfuse.export.quantization.calibration_data import evenly
from snnfuse.export.quantization.fitting import effective, rounded_decays

if TYPE_CHECKING:
    from snnfuse.export.quantization.fed_population import FedPopulation

# Plain choices, but SLOPE, which is that of training. `python -m benchmarks.calibration` varies it and DAMPING: 4 bits of the Braille graph
# keep 2.6 % more of the spikes with it, and no more classes; a tenth or ten times of DAMPING move one class of 350 down or up.
SLOPE = 5.0
LARGEST = 2048  # inputs of a neuron: beyond, the factorisation takes longer than everything else
ROWS = 1 << 13  # of steps and samples, or of these and places, that moments are taken of
CONVOLVED = 16  # samples that moments of a convolution are taken of
WORK = 1 << 32  # products that a population's moments may take where every neuron has its own; beyond, all neurons share theirs
DAMPING = 0.01  # of the mean power, added to every input's, lest a direction that the data lacks take up all errors


@dataclass(frozen=True, eq=False)
class Moments:
    """Of the inputs of each neuron of a population, one after the other as `Network.into` has them.

    Attributes:
        matrix: (neurons, inputs, inputs), or (1, ...) where all share it; of a convolution, (channels or 1, taps, taps).
        best: the weights that come nearest before rounding, (neurons, inputs), in the float neurons' units.
        present: where there is a synapse, (neurons, inputs).
    """

    matrix: Array
    best: Array
    present: NDArray[np.bool_]


def membrane_moments(fed: "FedPopulation") -> Moments | None:
    """Of one population; None where it is no LIF, nor of a kind whose membrane follows its inputs linearly below the threshold, or has
    weights that spell an operation, or too many, or convolutions beside others or in groups."""
    population = fed.network.populations[fed.name]
    projections = [effective(fed.network, p, fed.inputs) for p in fed.network.into(fed.name)]
    if population.kind not in ("neuron", "own") or fed.readers is not None or not projections or any(p.is_fixed for p in projections):
        return None
    is_conv = any(isinstance(p.weights, ConvWeights) for p in projections)
    wanted = _kernel(projections, population) if is_conv else np.concatenate([_matrix(p) for p in projections], 1)
    if wanted is None or wanted.shape[1] > LARGEST:
        return None
    fired = fed.run.spikes[fed.name]
    chosen = evenly(fired.shape[1], CONVOLVED if is_conv else ROWS // len(fired))
    sent, fires = np.concatenate([_arriving(fed, p, chosen) for p in projections], 2), _flat(fired, chosen)
    if population.own is not None:
        return _of_own(population.own, population, wanted, sent, fed, chosen)
    at = np.arange(wanted.shape[0])
    if is_conv:
        sent, fires, at = _at_places(projections[0].weights, sent, fires)
    is_read = population.is_readout or fed.name in fed.network.read_voltages
    return _taken(population, wanted, sent, fires, at, is_read)


def _kernel(projections: list[Projection], population: Population) -> Array | None:
    """(channels, taps) of the only convolution; None where there are others beside it."""
    weights = projections[0].weights
    is_plain = len(projections) == 1 and isinstance(weights, ConvWeights) and weights.groups == 1 and population.own is None
    return weights.values.reshape(len(weights.values), -1) if is_plain else None


def _flat(values: NDArray, chosen: NDArray[np.int64]) -> NDArray:
    return values[:, chosen].reshape(len(values), len(chosen), -1)


def _matrix(projection: Projection) -> Array:
    weights = projection.weights
    return weights.matrix.toarray() if isinstance(weights, SparseWeights) else weights.values


def _arriving(fed: "FedPopulation", projection: Projection, chosen: NDArray[np.int64]) -> Array:
    """What a projection's source sent, when it arrives, (time, samples, sources)."""
    sent = fed.run.spikes[fed.name] if projection.source == fed.name else fed.sent[projection.source]
    late, values = fed.network.late(projection), _flat(sent, chosen).astype(np.float64)
    return np.concatenate([np.zeros_like(values[:late]), values[: len(values) - late]])[: len(values)] if late else values


@dataclass(frozen=True, eq=False)
class _Decays:
    """What a step leaves of current and voltage, (neurons,) or (rows, neurons)."""

    alpha: Array
    beta: Array


def _taken(population: Population, wanted: Array, sent: Array, fired: NDArray[np.bool_], at: NDArray[np.int64], is_read: bool) -> Moments:
    """Of traces, step by step: each neuron's own, or where these are too many one for all that knows no resets.

    Args:
        wanted: weights, (neurons, inputs).
        sent: what arrives, (time, rows, inputs); rows are samples, or places of them.
        fired: (time, rows, neurons).
        at: which neurons of the population these are, (neurons,) or (rows, neurons).
    """
    exact, rounded = _decays(population, at)
    own = wanted.shape[0] * sent.shape[0] * sent.shape[1] * wanted.shape[1] ** 2 <= WORK
    several = _Decays(*(d.reshape(-1, d.shape[-1]).mean(0) for d in (rounded.alpha, rounded.beta)))
    traces = _Traces(
        several if own else _Decays(several.alpha.mean(keepdims=True), several.beta.mean(keepdims=True)),
        population.reset if own else "none",
    )
    membrane, others = _Membrane(population, exact, at), _Membrane(population, rounded, at)
    matrix, toward = np.zeros((wanted.shape[0] if own else 1, *2 * wanted.shape[1:])), np.zeros(wanted.shape)
    theta = population.theta.ravel()[at]
    for arriving, spikes in zip(sent, fired):
        drive = arriving @ wanted.T
        goal, rest = membrane.step(drive, spikes), others.step(np.zeros_like(drive), spikes)
        trace = traces.step(arriving, spikes)
        near = _nearness(theta, goal, spikes, is_read)
        weighted = trace * (near.T if own else near.mean(1)[None])[:, :, None]
        matrix += weighted.transpose(0, 2, 1) @ trace
        toward += np.einsum("nbi,bn->ni", weighted, goal - rest) if own else (goal - rest).T @ weighted[0]
    return _solved(matrix, toward if own or not population.reset.startswith("zero") else None, wanted)


def _at_places(weights: Weights, sent: Array, fired: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_], NDArray[np.int64]]:
    """What a kernel meets at some places of every sample, drawn once, as `_taken` takes it."""
    assert isinstance(weights, ConvWeights)
    channels, taps = len(weights.kernel), weights.kernel[0].size
    (time, samples), places = sent.shape[:2], fired.shape[2] // channels
    some = np.sort(np.random.default_rng(0).choice(places, min(places, max(1, ROWS // (time * samples))), replace=False))
    met = np.stack([patches(weights, x).reshape(samples, places, taps)[:, some].reshape(-1, taps) for x in sent])
    spikes = fired.reshape(time, samples, channels, places)[..., some].swapaxes(2, 3).reshape(time, -1, channels)
    at = np.tile(np.arange(channels) * places + some[:, None], (samples, 1))
    return met, spikes, at


def _nearness(theta: Array, v: Array, fired: NDArray[np.bool_], is_read: bool) -> Array:
    """h of the module."""
    if is_read:
        return np.ones_like(v)
    return 1 / (1 + SLOPE * np.where(fired, 0.0, np.abs(v - theta) / theta)) ** 2


def _solved(matrix: Array, toward: Array | None, wanted: Array) -> Moments:
    """The weights nearest to the goal, damped towards those wanted; these themselves where traces do not know what resets do."""
    size = DAMPING * np.maximum(np.diagonal(matrix, axis1=1, axis2=2).mean(1), 1e-12)
    matrix = matrix + size[:, None, None] * np.eye(matrix.shape[1])
    if toward is None:
        return Moments(matrix, wanted, wanted != 0)
    goal: Array = toward + size[:, None] * wanted
    own = len(matrix) == len(wanted)
    best = np.linalg.solve(matrix, goal[:, :, None])[:, :, 0] if own else np.linalg.solve(matrix[0], goal.T).T
    return Moments(matrix, best, wanted != 0)


def _of_own(
    own: FloatNeuron, population: Population, wanted: Array, sent: Array, fed: "FedPopulation", chosen: NDArray[np.int64]
) -> Moments:
    """Of neurons of another kind, from what their membrane makes of one small input; it knows no resets, and rounds no decays."""
    response = _response(own, population.shape, len(sent))
    trace = np.zeros_like(sent)
    for t, left in enumerate(response):
        trace[t:] += left * sent[: len(sent) - t]
    v, fired = _flat(fed.own_voltage, chosen), _flat(fed.run.spikes[fed.name], chosen)
    near = _nearness(population.theta.ravel(), v, fired, fed.name in fed.network.read_voltages).reshape(-1, v.shape[2])
    rows = trace.reshape(-1, trace.shape[2])
    if len(wanted) * len(rows) * rows.shape[1] ** 2 > WORK:
        near = near.mean(1, keepdims=True)
    matrix = np.stack([(rows * h[:, None]).T @ rows for h in near.T])
    return _solved(matrix, None, wanted)


def _response(own: FloatNeuron, shape: tuple[int, ...], steps: int) -> Array:
    """The membrane after one small input, per unit of it, the mean of all neurons, (steps,)."""
    small, state, found = 1e-3 * float(own.theta.min()), own.rest((1, *shape)), []
    at = own.kind.states.index(own.kind.membrane or own.kind.states[-1])
    for t in range(steps):
        _, state = own.step(state, np.full((1, *shape), small if not t else 0.0))
        found.append(float(state[at].mean()) / small)
    return np.array(found)


def patches(weights: ConvWeights, frames: Array) -> Array:
    """(frames, *input_shape) to (frames * places, taps), the taps in the order of a kernel's."""
    (rows, columns), (down, across), dilation = weights.padding, weights.stride, weights.dilation
    padded = np.pad(frames.reshape(-1, *weights.input_shape), ((0, 0), (0, 0), (rows, rows), (columns, columns)))
    spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, weights.kernel.shape[2:]))
    axes: Any = (2, 3)  # its stub takes a single one
    windows = sliding_window_view(padded, spans, axis=axes)[:, :, ::down, ::across, :: dilation[0], :: dilation[1]]
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, weights.kernel[0].size)


def _decays(population: Population, at: NDArray[np.int64]) -> tuple[_Decays, _Decays]:
    """The float ones of some neurons, and those of the registers."""
    alpha = np.zeros(population.shape) if population.alpha is None else population.alpha
    rounded = rounded_decays(population)
    return _Decays(alpha.ravel()[at], population.beta.ravel()[at]), _Decays(*(d.ravel()[at] for d in rounded))


class _Traces:
    """The membrane that each input makes through a weight of 1, (neurons or 1, rows, inputs)."""

    def __init__(self, decays: _Decays, reset: str) -> None:
        self.alpha, self.beta, self.reset = decays.alpha[:, None, None], decays.beta[:, None, None], reset
        self.current, self.voltage = np.zeros((1, 1, 1)), np.zeros((1, 1, 1))
        self.fades = bool(self.alpha.any())
        self.late: NDArray[np.bool_] | None = None

    def step(self, arriving: Array, fired: NDArray[np.bool_]) -> Array:
        """Before the reset of this step."""
        self.current = self.alpha * self.current + arriving if self.fades else arriving
        kept = self._without(self.voltage, self.late) if self.reset == "zero_stored" else self.voltage
        v = self.beta * kept
        v = np.add(v, self.current, out=v if v.shape[1:] == self.current.shape[-2:] else None)
        v = self._without(v, self.late) if self.reset == "zero_delayed" else v
        self.late, self.voltage = fired, self._without(v, fired) if self.reset == "zero" else v
        return v

    @staticmethod
    def _without(values: Array, fired: NDArray[np.bool_] | None) -> Array:
        if fired is None or values.shape[:2] != fired.T.shape:
            return values if fired is None else np.where(fired.T[:, :, None], 0.0, values)
        left = values.copy()
        left[fired.T] = 0.0
        return left


class _Membrane:
    """A population's membrane whose spikes are given, with biases and start, (rows, neurons)."""

    def __init__(self, population: Population, decays: _Decays, at: NDArray[np.int64]) -> None:
        p, self.decays, self.reset = population, decays, population.reset
        self.bias, self.voltage_bias = (p.gain * p.current_gain * p.bias).ravel()[at], p.voltage_bias.ravel()[at]
        self.amount, self.reset_to = p.amount.ravel()[at], 0.0 if p.reset_to is None else p.reset_to.ravel()[at]
        self.current, self.v = np.zeros(1), np.zeros(1) if p.start is None else p.start.ravel()[at]
        self.late: NDArray[np.bool_] | bool = False

    def step(self, drive: Array, fired: NDArray[np.bool_]) -> Array:
        """Before the reset of this step: `snnfuse.export.lowering.float_simulator.advance`, in voltage per input."""
        self.current = self.decays.alpha * self.current + drive + self.bias
        kept = np.where(self.late, 0.0, self.v) if self.reset == "zero_stored" else self.v
        v = self.decays.beta * kept + self.current + self.voltage_bias
        if self.reset in ("subtract_delayed", "subtract_undelayed"):
            v = v - np.where(self.late, self.amount, 0.0)
        v = np.where(self.late, 0.0, v) if self.reset == "zero_delayed" else v
        after = np.where(fired, self.reset_to, v) if self.reset == "zero" else v
        if self.reset == "subtract":
            after = v - fired * self.amount
        if self.reset == "subtract_undelayed":
            after = v - (fired * 1.0 - self.late) * self.amount
        self.late, self.v = fired, after
        return v
