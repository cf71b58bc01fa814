"""Messages between cores: which neuron reaches which core, and how often it fires.

A spike is one message to every core that holds one of its targets, however many targets that core holds.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from snnfuse.hardware.chip.layers import on_cores
from snnfuse.hardware.chip.mesh import LinkLoad, busiest_link
from snnfuse.hardware.chip.resources import Resources
from snnfuse.hardware.chip.splitting import Split
from snnfuse.hardware.errors import InputError
from snnfuse.hardware.ir.nodes import Connection
from snnfuse.hardware.ir.program import Program
from snnfuse.hardware.ir.recording import Recording
from snnfuse.hardware.ir.synapses import Conv2d

Rates = Mapping[str, NDArray[np.float64]]
"""Spikes per step of every neuron, flattened, by node."""


def spike_rates(program: Program, recording: Recording) -> dict[str, NDArray[np.float64]]:
    """Mean spikes per step of a recording of every layer, inputs included; a graded spike is one message, whatever it says.

    Raises:
        InputError: a population is not in the recording.
    """
    rates = {}
    for name in [*program.inputs, *program.neurons]:
        spikes = recording.spikes.get(name, recording.events.get(name))
        if spikes is None:
            raise InputError(f"{name!r} was not recorded: traffic needs every layer, record='all', and the events")
        rates[name] = np.count_nonzero(spikes, axis=(0, 1)).ravel() / (spikes.shape[0] * spikes.shape[1])
    return rates | {name: np.ones(node.shape).ravel() for name, node in program.nodes.items() if name not in rates}


def messages(program: Program, resources: Resources, rates: Rates | None = None) -> sparse.csr_matrix:
    """Messages per step from each core to each; of a neuron that fires on every step where there are no rates.

    Returns:
        (cores, cores) float64, cores numbered layer after layer in topological order. What the host sends is not among them.
    """
    first = _first_cores(resources)
    total = sparse.csr_matrix((resources.cores, resources.cores))
    for connection in on_cores(program, first):
        if connection.source in first:
            total = total + _of_connection(connection, resources, rates, first)
    return total


def from_host(program: Program, resources: Resources, rates: Rates | None = None) -> float:
    """Messages per step that enter the chips."""
    arriving = (c for c in on_cores(program, resources.splits) if c.source not in resources.splits)
    return float(sum((_weighted(c, rates) @ reach(c, resources.splits[c.target])).sum() for c in arriving))


def link_load(program: Program, resources: Resources, rates: Rates | None, message: float, payload: float, remote: float) -> LinkLoad:
    """Return what the busiest links carry per step, layers on neighbouring cores, cores on chips in order.

    Args:
        message, payload, remote: bits of a binary spike within a chip, and how many more with a payload, and between chips.
    """
    first, shape = _first_cores(resources), (resources.cores, resources.cores)
    inside = between = sparse.csr_matrix(shape)
    for connection in on_cores(program, first):
        if connection.source in first:
            sent = _of_connection(connection, resources, rates, first)
            size = message + (payload if program.nodes[connection.source].sends_numbers else 0)
            inside, between = inside + sent * size, between + sent * (size + remote)
    return busiest_link(inside, between, np.arange(resources.cores) // resources.board.value("cores"))


def _first_cores(resources: Resources) -> dict[str, int]:
    names = [layer.name for layer in resources.layers]
    return dict(zip(names, np.cumsum([0, *(layer.cores for layer in resources.layers)]).tolist()))


def _of_connection(connection: Connection, resources: Resources, rates: Rates | None, first: Mapping[str, int]) -> sparse.csr_matrix:
    source, target = resources.splits[connection.source], resources.splits[connection.target]
    n = len(source.labels)
    by_core = sparse.csr_matrix((_fired(connection, rates, n), (source.labels, np.arange(n))), (source.cores, n))
    found = (by_core @ reach(connection, target)).tocoo()
    rows, columns = found.row + first[connection.source], found.col + first[connection.target]
    return sparse.csr_matrix((found.data, (rows, columns)), (resources.cores, resources.cores))


def _fired(connection: Connection, rates: Rates | None, neurons: int) -> NDArray[np.float64]:
    return np.ones(neurons) if rates is None else rates[connection.source]


def _weighted(connection: Connection, rates: Rates | None) -> sparse.csr_matrix:
    return sparse.csr_matrix(_fired(connection, rates, connection.synapse.size[1])[None])


def reach(connection: Connection, target: Split) -> sparse.csr_matrix:
    """Which neuron of the source has a synapse on which core of the target: float64 (source neurons, cores), 0 or 1."""
    synapse, conv = connection.synapse, connection.synapse.convolution
    if conv is not None and _is_split_alike(conv, target):
        return _conv_reach(conv, target)
    rows, columns = synapse.matrix().nonzero()
    size = synapse.size[1], target.cores
    return _binary(sparse.csr_matrix((np.ones(len(rows)), (columns, target.labels[rows])), size))


def _is_split_alike(conv: Conv2d, target: Split) -> bool:
    """Whether the target was split by this convolution's channels and positions: another may see its neurons in another shape."""
    channels, *plane = conv.output_shape
    return (channels, int(np.prod(plane))) == (len(target.channel_of), len(target.run_of))


def _conv_reach(conv: Conv2d, target: Split) -> sparse.csr_matrix:
    """Channels and positions apart: a neuron reaches the groups its channel feeds, at the runs its position feeds."""
    outputs, inputs = conv.weights.shape[0] // conv.groups, conv.weights.shape[1]
    channels = np.arange(conv.input_shape[0])
    fed = (channels // inputs)[:, None] * outputs + np.arange(outputs)
    groups = sparse.csr_matrix((np.ones(fed.size), (np.repeat(channels, outputs), target.channel_of[fed].ravel())),
                               (len(channels), target.groups))  # fmt: skip
    return sparse.kron(_binary(groups), _position_reach(conv, target), "csr")


def _position_reach(conv: Conv2d, target: Split) -> sparse.csr_matrix:
    """(input positions, runs)."""
    height, width = conv.input_shape[1:]
    positions, runs = np.arange(height * width).reshape(height, width), target.run_of.reshape(conv.output_shape[1:])
    met = [np.stack([positions[tap.inputs].ravel(), runs[tap.outputs].ravel()]) for tap in conv.geometry.taps()]
    pairs = np.concatenate([np.zeros((2, 0), np.int64), *met], axis=1)
    return _binary(sparse.csr_matrix((np.ones(pairs.shape[1]), tuple(pairs)), (height * width, target.runs)))


def _binary(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
