"""Neurons in units of their own, so that each one's weights use all bits.

A neuron whose weights, biases, leak, threshold and what a spike takes away are multiplied by one factor spikes as it did, for no
voltage is compared with another neuron's. A factor that is a power of two changes no digit. One scale per matrix is set by its
largest weight; factors that bring every neuron's largest weight near it leave an outlier to cost its own neuron's digits only.

The price is a threshold per neuron. Lava runs it exactly; its stock LIF declares one per process, so on a chip it is an assumption.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from snnfuse.export.lowering.float_simulator import FloatRun
from snnfuse.export.lowering.network import Array, Network, Projection
from snnfuse.export.lowering.weights import ConvWeights, Weights
from snnfuse.export.quantization.fitting import Input, effective

# A plain choice: on the Braille graph a quarter and four times of it change nothing (`python -m benchmarks.calibration`).
LEAST_REACH = 1 / 8  # of its threshold: a neuron of weaker weights is raised no further, lest its threshold leave the register


def find_units(network: Network, name: str, inputs: Mapping[str, Input]) -> Array | None:
    """Powers of two, of the population's shape, the least of them 1, that bring its neurons' largest weights within a factor of two of
    each other; those of a channel share one where a convolution feeds it. None where there is nothing to gain or to change: a
    readout or other neurons whose voltages are read, weights that spell an operation, or neurons that are level.
    """
    population, into = network.populations[name], network.into(name)
    is_read = population.is_readout or name in network.read_voltages
    if is_read or population.kind != "neuron" or not into or any(p.is_fixed for p in into):
        return None
    reach = np.max([LEAST_REACH * population.theta, *(_reach(network, p, inputs) for p in into)], axis=0)
    if any(isinstance(p.weights, ConvWeights) for p in into):
        reach = np.broadcast_to(reach.max(axis=tuple(range(1, reach.ndim)), keepdims=True), reach.shape)
    units = 2.0 ** np.floor(np.log2(reach.max() / reach))
    units = units / units.min()
    return units if (units != 1).any() else None


def _reach(network: Network, projection: Projection, inputs: Mapping[str, Input]) -> Array:
    """The largest change of voltage that one event of the source can bring to each neuron; of a convolution, to any of its channel."""
    rows = _largest(effective(network, projection, inputs).weights)
    source, before = inputs.get(projection.source), network.populations.get(projection.source)
    payload = source.limit if source else int(np.prod(before.bounds)) if before else 1
    return payload * rows.reshape(network.populations[projection.target].shape)


def _largest(weights: Weights) -> Array:
    """The largest magnitude that each target neuron meets, (targets,); of a convolution, that any of its channel does."""
    if isinstance(weights, ConvWeights):  # written out, a wide one takes half a gigabyte
        each = np.abs(weights.kernel * (weights.meetings > 0)).max(axis=(1, 2, 3))
        return np.repeat(each, int(np.prod(weights.output_shape[1:])))
    matrix = abs(weights.matrix).max(axis=1)
    return (matrix if isinstance(matrix, np.ndarray) else matrix.toarray()).ravel()


def in_units(network: Network, name: str, units: Array | None) -> Network:
    """The network with one population's voltages counted in units of their own, spike for spike the same."""
    if units is None:
        return network
    p = network.populations[name]
    taken, start = (None if x is None else x * units for x in (p.taken, p.start))
    raised = replace(
        p, gain=p.gain * units, theta=p.theta * units, voltage_bias=p.voltage_bias * units, taken=taken, start=start,
        reset_to=None if p.reset_to is None else p.reset_to * units,
    )  # fmt: skip
    return replace(network, populations={**network.populations, name: raised})


def run_in_units(run: FloatRun, name: str, units: Array | None) -> FloatRun:
    """What the float network of `in_units` would do, of that population."""
    if units is None:
        return run
    current, voltage, v = ({name: kept[name] * units} for kept in (run.peak_current, run.peak_voltage, run.v))
    return FloatRun({name: run.spikes[name]}, v, current, voltage)


def check_units(units: NDArray) -> bool:
    """Whether numbers from a file are powers of two, 1 or more."""
    return bool(np.isfinite(units).all() and (units >= 1).all() and (np.frexp(units)[0] == 0.5).all())
