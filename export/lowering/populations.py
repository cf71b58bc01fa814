"""Populations in discrete time, from the nodes that spell them."""

from collections.abc import Mapping
from dataclasses import replace

import nir
import numpy as np
from numpy.typing import ArrayLike

from snnfuse.export.lowering.float_neurons import read_neuron
from snnfuse.export.lowering.graph import of_kind
from snnfuse.export.lowering.maximum_patterns import MaximumNode
from snnfuse.export.lowering.network import Array, Kind, Population
from snnfuse.export.lowering.neuron_nodes import INTEGRATORS, membrane
from snnfuse.export.lowering.neuron_patterns import Cell, reset_by
from snnfuse.export.lowering.product_patterns import ProductNode
from snnfuse.export.lowering.registry import find_lowering, find_neuron
from snnfuse.export.lowering.reset_notes import as_noted
from snnfuse.export.lowering.shapes import Shape, joined, spread
from snnfuse.hardware.errors import UnsupportedError

ANY_SPIKE = 0.5  # between no spike and one


def own_shape(cell: Cell, nodes: Mapping[str, nir.NIRNode]) -> Shape:
    """The shape that a population's parameters say; a single one may stand for all neurons."""
    product = nodes[cell.name]
    if isinstance(product, ProductNode):
        return product.shape
    lowerings = ((nodes[node], find_lowering(nodes[node])) for node in sorted(cell.inner))
    values = (getattr(node, key, None) for node, lowering in lowerings if lowering for key in lowering.numbers)
    return joined(cell.name, (np.shape(value) for value in values if value is not None))


def build(cell: Cell, nodes: Mapping[str, nir.NIRNode], dt: float, shape: Shape) -> Population:
    """The population that a cell spells.

    Args:
        cell: its nodes.
        nodes: the graph's.
        dt: seconds per step.
        shape: of the neurons.

    Raises:
        UnsupportedError: a threshold is not positive, or does not lie above where the voltage resets to.
        InputError: a time constant is shorter than dt, or a parameter does not fit the shape.
    """
    node = nodes[cell.membrane]
    if isinstance(node, ProductNode):
        return counting(shape, "product", node.bounds)
    if isinstance(node, MaximumNode):
        return maximum(shape, node.ports)
    if cell.sums:
        return counting(shape, "relay")
    own = read_neuron(cell.membrane, node)
    if own is not None:
        own = own.written_out(lambda parameter, values: spread(cell.name, parameter, values, shape))
        return replace(memoryless(shape, own.theta), kind="own", own=own)
    if isinstance(node, nir.Threshold):
        return memoryless(shape, spread(cell.name, "a threshold", node.threshold, shape))
    kind = find_neuron(node)
    assert kind is not None, cell  # by find_cells
    neuron = kind.population(cell.membrane, node, dt)
    if cell.name != cell.membrane:
        neuron = _thresholded(neuron, cell, nodes)
    if cell.current is not None:
        current = nodes[cell.current]
        assert isinstance(current, INTEGRATORS), cell
        neuron = _with_current(neuron, cell.current, current, dt)
    return _written_out(as_noted(cell.name, nodes[cell.name], neuron), cell.name, shape)


def never_firing(neuron: Population, only_read: bool) -> Population:
    """A population some of whose thresholds are infinite: those neurons stay at zero, below any threshold, so that they never fire. Where
    all are, and outputs alone read it, it is a readout of its membrane.
    """
    never = np.isinf(neuron.theta)
    if not never.any() or (never.all() and only_read):
        return neuron
    still = {key: np.where(never, 0.0, getattr(neuron, key)) for key in ("gain", "bias", "voltage_bias")}
    base = 0.0 if neuron.reset_to is None else neuron.reset_to
    taken = None if neuron.taken is None else np.where(never, 1.0, neuron.taken)
    return replace(neuron, theta=np.where(never, base + 1.0, neuron.theta), taken=taken, **still)


def memoryless(shape: Shape, theta: ArrayLike) -> Population:
    """A neuron without memory: v' = I, s = v' > theta. With theta = ANY_SPIKE it is a maximum of spikes, with an infinite one a readout."""
    zeros, ones = np.zeros(shape), np.ones(shape)
    theta = np.asarray(theta, np.float64) * ones
    return Population(shape, beta=zeros, gain=ones, theta=theta, alpha=None, current_gain=ones, bias=zeros, voltage_bias=zeros)


def counting(shape: Shape, kind: Kind, bounds: tuple[int, int] = (1, 1)) -> Population:
    """A product or a relay."""
    return replace(memoryless(shape, 1.0), kind=kind, bounds=bounds)


def maximum(shape: Shape, ports: int) -> Population:
    """Neurons that send the largest of what arrives at their ports."""
    return replace(memoryless(shape, 1.0), kind="maximum", ports=ports, bias=np.zeros((ports, *shape)))


def _thresholded(neuron: Population, cell: Cell, nodes: Mapping[str, nir.NIRNode]) -> Population:
    """A membrane with a threshold on it, which resets it by subtraction, or not at all."""
    theta = np.asarray(of_kind(nodes[cell.name], nir.Threshold).threshold, np.float64)
    if (theta <= 0).any():
        raise UnsupportedError(f"node {cell.name!r}: threshold must be positive, not {float(theta.min()):g}; shift the voltage or retrain")
    if cell.scale is None:
        return replace(neuron, theta=theta, reset="none")
    taken = -neuron.gain * np.asarray(of_kind(nodes[cell.scale], nir.Scale).scale, np.float64)
    reset = reset_by(taken, theta, neuron.beta)
    assert reset is not None, cell  # by find_cells
    return replace(neuron, theta=theta, reset=reset, taken=_before_leak(taken, neuron.beta) if reset == "subtract" else taken)


def _before_leak(taken: Array, beta: Array) -> Array:
    """What is taken at once, if beta times it is missing one step later; anything where nothing lasts a step."""
    taken, beta = np.broadcast_arrays(taken, beta)
    return np.divide(taken, beta, out=np.ones(taken.shape), where=beta > 0)


def _with_current(neuron: Population, name: str, node: nir.LI | nir.I, dt: float) -> Population:
    alpha, gain, leak = membrane(name, node, dt)
    if np.any(leak):
        raise UnsupportedError(f"node {name!r}: a synaptic current with v_leak other than 0 cannot be kept; fold it into a bias")
    return replace(neuron, alpha=alpha, current_gain=gain)


def _written_out(neuron: Population, name: str, shape: Shape) -> Population:
    """The same with every parameter given for every neuron."""
    arrays = {key: value for key, value in vars(neuron).items() if isinstance(value, (np.ndarray, np.generic))}
    return replace(neuron, shape=shape, **{key: spread(name, key, value, shape) for key, value in arrays.items()})
