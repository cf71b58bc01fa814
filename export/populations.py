"""Populations in discrete time, from the nodes that spell them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import nir
import numpy as np

from snnfuse.export.network import Array, Population
from snnfuse.export.neurons import membrane, population
from snnfuse.export.patterns import Cell
from snnfuse.export.shapes import Shape, joined, spread
from snnfuse.hardware.errors import UnsupportedError
from snnfuse.hardware.lif import Reset

SAME = 1e-5  # relative; parameters may be float32, and thresholds nudged by 1e-6
PARAMETERS = ("tau", "tau_mem", "tau_syn", "r", "w_in", "v_leak", "v_threshold", "v_reset", "threshold", "scale")
ANY_SPIKE = 0.5  # between no spike and one


def own_shape(cell: Cell, nodes: Mapping[str, nir.NIRNode]) -> Shape:
    """The shape that a population's parameters say; a single one may stand for all neurons."""
    values = (getattr(nodes[node], key, None) for node in sorted(cell.inner) for key in PARAMETERS)
    return joined(cell.name, (np.shape(value) for value in values if value is not None))


def build(cell: Cell, nodes: Mapping[str, nir.NIRNode], dt: float, shape: Shape) -> Population:
    """The population that a cell spells.

    Args:
        cell: its nodes.
        nodes: the graph's.
        dt: seconds per step.
        shape: of the neurons.

    Raises:
        UnsupportedError: v_reset is not 0, a threshold is not positive, or a spike takes away neither theta nor beta theta.
        InputError: a time constant is shorter than dt, or a parameter does not fit the shape.
    """
    if isinstance(nodes[cell.membrane], nir.Threshold):
        return maximum(shape)
    neuron = population(cell.membrane, nodes[cell.membrane], dt)
    if cell.scale is not None:
        neuron = _subtracting(neuron, cell, nodes)
    if cell.current is not None:
        neuron = _with_current(neuron, cell.current, nodes[cell.current], dt)
    return _written_out(neuron, cell.name, shape)


def maximum(shape: Shape) -> Population:
    """A neuron without memory that fires at any spike: v' = I, s = v' > 1/2."""
    zeros, ones = np.zeros(shape), np.ones(shape)
    return Population(
        shape, beta=zeros, gain=ones, theta=ANY_SPIKE * ones, alpha=None, current_gain=ones, bias=zeros, voltage_bias=zeros
    )


def _subtracting(neuron: Population, cell: Cell, nodes: Mapping[str, nir.NIRNode]) -> Population:
    theta = np.asarray(nodes[cell.name].threshold, np.float64)
    if (theta <= 0).any():
        raise UnsupportedError(f"node {cell.name!r}: threshold must be positive, not {float(theta.min()):g}; shift the voltage or retrain")
    taken = -neuron.gain * np.asarray(nodes[cell.scale].scale, np.float64)
    reset, distance = min(_distances(taken, theta, neuron.beta), key=lambda found: found[1])
    if not distance <= SAME:
        raise UnsupportedError(
            f"node {cell.scale!r} takes {float(np.ravel(taken)[0]):g} from the voltage per spike; only the threshold "
            f"({float(np.ravel(theta)[0]):g}, a delayed reset) or beta times it (an immediate one) can be kept"
        )
    return replace(neuron, theta=theta, reset=reset, taken=_before_leak(taken, neuron.beta) if reset == "subtract" else taken)


def _before_leak(taken: Array, beta: Array) -> Array:
    """What is taken at once, if beta times it is missing one step later; anything where nothing lasts a step."""
    taken, beta = np.broadcast_arrays(taken, beta)
    return np.divide(taken, beta, out=np.ones(taken.shape), where=beta > 0)


def _distances(taken: Array, theta: Array, beta: Array) -> Iterable[tuple[Reset, float]]:
    """How far from each rule's amount; with beta close to 1 both may be near, and the nearer one is meant."""
    yield "subtract_delayed", float(np.max(np.abs(taken - theta) / theta))
    yield "subtract", float(np.max(np.abs(taken - beta * theta) / theta))


def _with_current(neuron: Population, name: str, node: nir.LI | nir.I, dt: float) -> Population:
    alpha, gain, leak = membrane(name, node, dt)
    if np.any(leak):
        raise UnsupportedError(f"node {name!r}: a synaptic current with v_leak other than 0 cannot be kept; fold it into a bias")
    return replace(neuron, alpha=alpha, current_gain=gain)


def _written_out(neuron: Population, name: str, shape: Shape) -> Population:
    """The same with every parameter given for every neuron."""
    arrays = {key: value for key, value in vars(neuron).items() if isinstance(value, (np.ndarray, np.generic))}
    return replace(neuron, shape=shape, **{key: spread(name, key, value, shape) for key, value in arrays.items()})
